/* From tuples to a plan. Every number that later becomes a place in memory is checked here. */
#include "plan.h"

#include <stdlib.h>

static int wrong(const char *what) {
    PyErr_Format(PyExc_ValueError, "%s does not fit the plan", what);
    return -1;
}

static int read_writes(Plan *plan, Feature *feature, PyObject *writes) {
    Py_ssize_t count = PyTuple_Size(writes);
    if (!(feature->writes = calloc((size_t)count + 1, sizeof(Write)))) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        Write *write = &feature->writes[i];
        if (!PyArg_ParseTuple(PyTuple_GetItem(writes, i), "iddd", &write->column, &write->fill, &write->shift, &write->scale))
            return -1;
        if (write->column < 0 || write->column >= plan->width) return wrong("a column");
        write->is_plain = write->shift == 0.0 && write->scale == 1.0;
    }
    feature->n_writes = (int32_t)count;
    return 0;
}

static int read_table(Plan *plan, Feature *feature, PyObject *table) {
    PyObject *codes;
    int one_hot;
    if (!PyArg_ParseTuple(table, "piiddO!", &one_hot, &feature->column, &feature->width, &feature->missing, &feature->unseen,
                          &PyTuple_Type, &codes))
        return -1;
    feature->one_hot = (uint8_t)one_hot;
    plan->is_zeroed |= one_hot;
    if (feature->column < 0 || feature->width < 0 || feature->width > plan->width - feature->column) return wrong("a text");
    if (!one_hot && feature->width != 1) return wrong("a text");
    if (one_hot && !(feature->missing >= 0 && feature->unseen >= 0)) return wrong("a code");
    Py_ssize_t count = PyTuple_Size(codes);
    if (table_make(&feature->table, (size_t)count)) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        const char *text;
        Py_ssize_t length;
        double code;
        if (!PyArg_ParseTuple(PyTuple_GetItem(codes, i), "y#d", &text, &length, &code)) return -1;
        if (one_hot && !(code >= 0)) return wrong("a code");
        if (table_add(&feature->table, text, (size_t)length, code)) return PyErr_NoMemory(), -1;
    }
    return 0;
}

static int read_feature(Plan *plan, int32_t number, PyObject *described) {
    Feature *feature = &plan->features[number];
    PyObject *writes, *table;
    const char *name;
    Py_ssize_t length;
    int kind, nullable, required;
    if (!PyArg_ParseTuple(described, "y#ippiO!O", &name, &length, &kind, &nullable, &required, &feature->raw, &PyTuple_Type,
                          &writes, &table))
        return -1;
    if (kind < 0 || kind >= KINDS || (kind == KIND_TEXT) == (table == Py_None)) return wrong("a kind");
    if (feature->raw >= plan->raw_width) return wrong("a raw column");
    feature->kind = (Kind)kind;
    feature->nullable = (uint8_t)nullable;
    feature->required = (uint8_t)required;
    if (table_find(&plan->names, name, (size_t)length)) return wrong("a name");
    if (table_add(&plan->names, name, (size_t)length, number)) return PyErr_NoMemory(), -1;
    if (read_writes(plan, feature, writes)) return -1;
    return table == Py_None ? 0 : read_table(plan, feature, table);
}

int plan_from_python(Plan *plan, PyObject *features) {
    Py_ssize_t count = PyTuple_Size(features);
    if (plan->width < 1 || plan->raw_width < 0 || count < 1 || count > INT32_MAX / 2) return wrong("a size");
    plan->features = calloc((size_t)count, sizeof(Feature));
    if (!plan->features || table_make(&plan->names, (size_t)count)) return PyErr_NoMemory(), -1;
    plan->n_features = (int32_t)count;
    for (int32_t i = 0; i < plan->n_features; i++)
        if (read_feature(plan, i, PyTuple_GetItem(features, i))) return -1;
    return 0;
}

void plan_free(Plan *plan) {
    for (int32_t i = 0; i < plan->n_features; i++) {
        free(plan->features[i].writes);
        table_free(&plan->features[i].table);
    }
    free(plan->features);
    table_free(&plan->names);
}
