/* From the description that mill_rows' callers give to a plan. */
#ifndef MILL_ROWS_PLAN_H
#define MILL_ROWS_PLAN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "rows.h"

/* Fills an empty plan; on failure sets a Python error and returns -1, and plan_free cleans up. */
int plan_from_python(Plan *plan, PyObject *features);
void plan_free(Plan *plan);

#endif
