"""Worker processes of a local cluster, forked from one that has loaded torch already."""
