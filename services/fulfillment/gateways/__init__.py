"""One file per outside system: download links, the pools of codes, course platforms."""
