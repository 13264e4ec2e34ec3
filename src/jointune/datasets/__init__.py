"""Public data sets in the layouts they are published in, one module each: each turns a folder into posts."""
