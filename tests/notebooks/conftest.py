"""The script that drives JupyterLab is run by `make jupyterlab`; it is not a module of tests."""

collect_ignore = ["jupyterlab.py"]
