"""How a process locks itself in before it looks at bytes nobody trusts, and how one speaks with it.

The trainer's sandbox reads uploaded model files so, ml-service predicts with uploaded models so. `confine` is what the process does
to itself; `seccomp` and `landlock` are the kernel's part in it; `frames` is the language on the pipe.
"""
