/* What module.c needs of explainer.c. */
#ifndef MILL_FOREST_EXPLAINER_H
#define MILL_FOREST_EXPLAINER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyType_Spec explainer_spec;

#endif
