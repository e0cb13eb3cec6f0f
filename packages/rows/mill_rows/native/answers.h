/* What module.c needs of answers.c. */
#ifndef MILL_ROWS_ANSWERS_H
#define MILL_ROWS_ANSWERS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyObject *join_rows(PyObject *module, PyObject *args);
PyObject *join_pieces(PyObject *module, PyObject *args);

#endif
