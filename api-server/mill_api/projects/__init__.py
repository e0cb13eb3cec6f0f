"""Projects: the folders of a workspace. Datasets and models live in one."""
