"""What both pages share: shell, vendored assets, sign-in, words in two languages."""
