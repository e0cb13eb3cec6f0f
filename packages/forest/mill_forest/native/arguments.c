/* From the dictionaries that layout.py makes to a compiled plan. Sizes are checked here; meanings were before. */
#include "arguments.h"

#include <stdlib.h>
#include <string.h>

void *copied(PyObject *arrays, const char *name, Py_ssize_t count, Py_ssize_t size, Py_ssize_t *found) {
    PyObject *value = PyDict_GetItemString(arrays, name);
    Py_buffer view;
    if (!value) {
        PyErr_Format(PyExc_KeyError, "array %s is missing", name);
        return NULL;
    }
    if (PyObject_GetBuffer(value, &view, PyBUF_C_CONTIGUOUS)) return NULL;
    void *copy = NULL;
    if (view.itemsize != size || (count >= 0 && view.len != count * size)) {
        PyErr_Format(PyExc_ValueError, "array %s has an unexpected size", name);
    } else if (!(copy = aligned_zeros((size_t)view.len + 1, 1))) {
        PyErr_NoMemory();
    } else {
        memcpy(copy, view.buf, (size_t)view.len);
        if (found) *found = view.len / size;
    }
    PyBuffer_Release(&view);
    return copy;
}

static int option(PyObject *options, const char *name, int32_t *out) {
    PyObject *value = PyDict_GetItemString(options, name);
    if (!value) {
        PyErr_Format(PyExc_KeyError, "option %s is missing", name);
        return -1;
    }
    long number = PyLong_AsLong(value);
    if (PyErr_Occurred()) return -1;
    *out = (int32_t)number;
    return 0;
}

static int read_options(Plan *plan, PyObject *options) {
    struct {
        const char *name;
        int32_t *place;
    } wanted[] = {{"n_features", &plan->n_features},       {"n_groups", &plan->n_groups},
                  {"n_outputs", &plan->n_outputs},         {"width", &plan->width},
                  {"single_input", &plan->single_input},   {"single_sum", &plan->single_sum},
                  {"flush_tiny", &plan->flush_tiny},       {"link", &plan->link},
                  {"category_rule", &plan->category_rule}, {"binary", &plan->binary},
                  {"divisor", &plan->divisor},             {"use_avx2", &plan->use_avx2}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (option(options, wanted[i].name, wanted[i].place)) return -1;
    plan->use_avx2 = plan->use_avx2 && cpu_has_avx2();
    return 0;
}

static int read_arrays(Plan *plan, PyObject *arrays, Py_ssize_t *n_nodes) {
    Py_ssize_t roots, columns, leaves;
#define TAKE(field, name, count, type, found) \
    if (!(plan->field = copied(arrays, name, count, sizeof(type), found))) return -1
    TAKE(roots, "tree_offsets", -1, int32_t, &roots);
    plan->n_trees = (int32_t)roots - 1;
    TAKE(group, "tree_group", plan->n_trees, int32_t, NULL);
    TAKE(base, "base", plan->n_groups, double, NULL);
    TAKE(leaves, "leaf_values", -1, double, &leaves);
    TAKE(column_rule, "column_rule", -1, uint8_t, &columns);
    plan->n_columns = (int32_t)columns;
    TAKE(column_feature, "column_feature", columns, int32_t, NULL);
    TAKE(nodes, "nodes", -1, Node, n_nodes);
    TAKE(category_offsets, "category_offsets", -1, int32_t, NULL);
    TAKE(category_bits, "category_bits", -1, uint32_t, NULL);
    TAKE(known_offsets, "known_offsets", -1, int32_t, NULL);
    TAKE(known_bits, "known_bits", -1, uint32_t, NULL);
    TAKE(bins, "bins", -1, double, NULL);
    TAKE(bin_offsets, "bin_offsets", columns + 1, int32_t, NULL);
#undef TAKE
    if (!plan->single_sum) return 0;
    plan->single_leaves = aligned_zeros((size_t)leaves, sizeof(float));
    if (!plan->single_leaves) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < leaves; i++) plan->single_leaves[i] = (float)plan->leaves[i];
    return 0;
}

int plan_from_python(Plan *plan, PyObject *options, PyObject *arrays, Py_ssize_t *n_nodes) {
    int32_t layout = 0, crowned = 0;
    if (read_options(plan, options) || option(options, "layout", &layout)) return -1;
    if (option(options, "crowned", &crowned)) return -1;
    if (read_arrays(plan, arrays, n_nodes)) return -1;
    int32_t *node_bin = copied(arrays, "node_bin", *n_nodes, sizeof(int32_t), NULL);
    if (!node_bin) return -1;
    int failed = plan_compile(plan, node_bin, (int32_t)*n_nodes, layout, crowned);
    free(node_bin);
    if (failed) PyErr_NoMemory();
    return failed;
}
