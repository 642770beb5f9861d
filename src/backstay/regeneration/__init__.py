"""Making conversations again: the plan, its backup, and the jobs that replace each old conversation by a new one."""
