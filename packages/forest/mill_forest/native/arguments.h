/* What module.c needs of arguments.c. */
#ifndef MILL_FOREST_ARGUMENTS_H
#define MILL_FOREST_ARGUMENTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "forest.h"

/* Fills an empty plan; on failure sets a Python error and returns -1, and plan_free cleans up. */
int plan_from_python(Plan *plan, PyObject *options, PyObject *arrays, Py_ssize_t *n_nodes);

/* A private, aligned copy of arrays[name], which must hold `count` items of `size` bytes (any number if < 0). */
void *copied(PyObject *arrays, const char *name, Py_ssize_t count, Py_ssize_t size, Py_ssize_t *found);

#endif
