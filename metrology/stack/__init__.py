"""Stack gas, as pure functions: velocity, flow, moisture, reference oxygen, emission, validity, substitution.

Units stand in the names: degC, Pa, m3/h, mg/m3, kg/h; fractions are 0 to 1 where a name says `fraction`, volume percent
where it says `percent`. The standard state is 273 K and 101325 Pa with 22.4 L/mol, the constants of HJ 212-2017
appendix D, so that a platform that recomputes a figure finds the same one.
"""
