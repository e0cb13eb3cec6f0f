/* What module.c needs of arguments.c. */
#ifndef MILL_FOREST_ARGUMENTS_H
#define MILL_FOREST_ARGUMENTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "forest.h"

/* Fills an empty plan; on failure sets a Python error and returns -1, and plan_free cleans up. */
int plan_from_python(Plan *plan, PyObject *options, PyObject *arrays);

#endif
