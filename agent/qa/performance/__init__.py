"""`plumeline performance`: recorded readings and a declaration of gases and references, made into a table of tests."""
