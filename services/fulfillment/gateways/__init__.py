"""One file per outside system: download links, pools of codes, course platforms."""
