"""Writers: each turns one `RunRecord` into one kind of file. Any of them can be run again later."""
