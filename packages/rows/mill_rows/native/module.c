/* The Python face: the type Reader owns a plan and reads JSON rows with the GIL released; read_flat reads arrays of numbers and
 * join_rows and join_pieces write answers. Bodies come by the buffer protocol, matrices go as bytearrays. */
#include "answers.h"
#include "columns.h"
#include "plan.h"

#include <stdlib.h>

typedef struct {
    PyObject_HEAD
    Plan plan;
} Reader;

static PyObject *reader_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *features;
    Plan plan = {0};
    if (kwargs && PyDict_Size(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Reader takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "iiO!", &plan.width, &plan.raw_width, &PyTuple_Type, &features)) return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Reader *self = (Reader *)alloc(type, 0);
    if (!self) return NULL;
    self->plan = plan;
    if (plan_from_python(&self->plan, features)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void reader_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    plan_free(&((Reader *)object)->plan);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* --- a body of rows --------------------------------------------------------------------------------------- */

typedef struct {
    const Plan *plan;
    Py_buffer body;
    Text text;
    Sink sink;
    Guess guess;
    const int32_t *order; /* of the features in a list; NULL: rows are objects */
    PyObject *matrix, *raw;
    size_t most_rows;
} Reading;

static void close_reading(Reading *reading) {
    PyBuffer_Release(&reading->body); /* nothing where rows come as columns */
    Py_XDECREF(reading->matrix);
    Py_XDECREF(reading->raw);
    free(reading->sink.unseen);
    free(reading->guess.steps);
    free(reading->guess.stamps);
}

/* How many rows the body probably holds, after those that were read. */
static size_t expected_rows(const Reading *reading) {
    size_t rows = reading->sink.rows, wanted = 16384 / (size_t)reading->plan->width + 1;
    if (rows) {
        size_t left = (size_t)(reading->text.end - reading->text.position), each = ((size_t)reading->body.len - left) / rows + 1;
        wanted = rows + left / each + left / each / 16 + 16;
    } else if (wanted > 64) {
        wanted = 64;
    }
    return wanted < reading->most_rows ? wanted : reading->most_rows;
}

/* -1 with an error where memory ends. */
static int make_room(Reading *reading, size_t wanted) {
    Sink *sink = &reading->sink;
    const Plan *plan = reading->plan;
    size_t width = (size_t)plan->width;
    if (wanted > PY_SSIZE_T_MAX / sizeof(double) / (width + (size_t)plan->raw_width)) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyByteArray_Resize(reading->matrix, (Py_ssize_t)(wanted * width * sizeof(double)))) return -1;
    if (PyByteArray_Resize(reading->raw, (Py_ssize_t)(wanted * (size_t)plan->raw_width * sizeof(double)))) return -1;
    sink->matrix = (double *)PyByteArray_AsString(reading->matrix);
    sink->raw = (double *)PyByteArray_AsString(reading->raw);
    sink->capacity = wanted;
    return 0;
}

static int open_reading(Reading *reading, Py_ssize_t start) {
    size_t features = (size_t)reading->plan->n_features;
    const char *begin = reading->body.buf;
    if (begin) reading->text = (Text){begin + start, begin + reading->body.len};
    reading->sink.unseen = calloc(features, sizeof(size_t));
    reading->guess.steps = calloc(features + 1, sizeof(Step));
    reading->guess.stamps = calloc(features, sizeof(size_t));
    reading->matrix = PyByteArray_FromStringAndSize(NULL, 0);
    reading->raw = PyByteArray_FromStringAndSize(NULL, 0);
    if (reading->sink.unseen && reading->guess.steps && reading->guess.stamps && reading->matrix && reading->raw) return 0;
    PyErr_NoMemory();
    return -1;
}

static Status read_on(Reading *reading) {
    if (reading->order) return read_lists(reading->plan, reading->order, &reading->text, &reading->sink);
    return read_objects(reading->plan, &reading->text, &reading->sink, &reading->guess);
}

/* (end, rows, matrix, raw, unseen of each feature, rows with something missing); None: give up. */
static PyObject *found(Reading *reading) {
    Sink *sink = &reading->sink;
    size_t rows = sink->rows, width = (size_t)reading->plan->width, raw_width = (size_t)reading->plan->raw_width;
    if (PyByteArray_Resize(reading->matrix, (Py_ssize_t)(rows * width * sizeof(double)))) return NULL;
    if (PyByteArray_Resize(reading->raw, (Py_ssize_t)(rows * raw_width * sizeof(double)))) return NULL;
    PyObject *unseen = PyList_New(reading->plan->n_features);
    for (int32_t i = 0; unseen && i < reading->plan->n_features; i++) {
        PyObject *count = PyLong_FromSize_t(sink->unseen[i]);
        if (!count || PyList_SetItem(unseen, i, count)) Py_CLEAR(unseen);
    }
    if (!unseen) return NULL;
    Py_ssize_t end = reading->body.buf ? reading->text.position - (const char *)reading->body.buf : 0;
    return Py_BuildValue("nnOONn", end, (Py_ssize_t)rows, reading->matrix, reading->raw, unseen, (Py_ssize_t)sink->rows_with_missing);
}

/* The text stands behind the opening bracket of a list that is not empty. */
static PyObject *read_body(Reading *reading, Py_ssize_t start) {
    PyObject *result = NULL;
    if (open_reading(reading, start)) goto end;
    Text *text = &reading->text;
    text->position = skip_blank(text->position, text->end);
    for (;;) {
        if (make_room(reading, expected_rows(reading))) goto end;
        size_t full = reading->sink.capacity;
        Status status;
        Py_BEGIN_ALLOW_THREADS
        status = read_on(reading);
        Py_END_ALLOW_THREADS
        if (status == DONE) {
            result = found(reading);
            break;
        }
        if (status == GIVE_UP || full >= reading->most_rows) {
            result = Py_NewRef(Py_None);
            break;
        }
    }
end:
    close_reading(reading);
    return result;
}

static int fits(const Reading *reading, Py_ssize_t start, Py_ssize_t most_rows) {
    if (start >= 0 && start <= reading->body.len && most_rows > 0) return 1;
    PyErr_SetString(PyExc_ValueError, "start lies outside the body, or no row is allowed");
    return 0;
}

/* objects(body, start, most_rows) */
static PyObject *reader_objects(PyObject *object, PyObject *args) {
    Reading reading = {.plan = &((Reader *)object)->plan};
    Py_ssize_t start, most_rows;
    if (!PyArg_ParseTuple(args, "y*nn", &reading.body, &start, &most_rows)) return NULL;
    if (!fits(&reading, start, most_rows)) return PyBuffer_Release(&reading.body), NULL;
    reading.most_rows = (size_t)most_rows;
    return read_body(&reading, start);
}

/* object(body, start): one row, at its brace. */
static PyObject *reader_object(PyObject *object, PyObject *args) {
    Reading reading = {.plan = &((Reader *)object)->plan, .most_rows = 1};
    PyObject *result = NULL;
    Py_ssize_t start;
    if (!PyArg_ParseTuple(args, "y*n", &reading.body, &start)) return NULL;
    if (!fits(&reading, start, 1)) return PyBuffer_Release(&reading.body), NULL;
    if (!open_reading(&reading, start) && !make_room(&reading, 1)) {
        Text *text = &reading.text;
        int begins = text->position < text->end && *text->position == '{';
        Status status = begins ? read_object(reading.plan, text, &reading.sink, &reading.guess) : GIVE_UP;
        result = status ? Py_NewRef(Py_None) : found(&reading);
    }
    close_reading(&reading);
    return result;
}

/* lists(body, start, most_rows, order): order is int32, every feature once. */
static PyObject *reader_lists(PyObject *object, PyObject *args) {
    const Plan *plan = &((Reader *)object)->plan;
    Reading reading = {.plan = plan};
    Py_ssize_t start, most_rows;
    Py_buffer order;
    if (!PyArg_ParseTuple(args, "y*nny*", &reading.body, &start, &most_rows, &order)) return NULL;
    PyObject *result = NULL;
    char *seen = calloc((size_t)plan->n_features, 1);
    int is_order = seen && order.len == (Py_ssize_t)(sizeof(int32_t) * (size_t)plan->n_features);
    for (int32_t i = 0; is_order && i < plan->n_features; i++) {
        int32_t feature = ((const int32_t *)order.buf)[i];
        is_order = feature >= 0 && feature < plan->n_features && !seen[feature];
        if (is_order) seen[feature] = 1;
    }
    free(seen);
    if (!is_order) {
        PyErr_SetString(PyExc_ValueError, "the order does not name every feature once");
        PyBuffer_Release(&reading.body);
    } else if (!fits(&reading, start, most_rows)) {
        PyBuffer_Release(&reading.body);
    } else {
        reading.order = order.buf;
        reading.most_rows = (size_t)most_rows;
        result = read_body(&reading, start);
    }
    PyBuffer_Release(&order);
    return result;
}

/* --- columns ---------------------------------------------------------------------------------------------- */

static Status fill_from(Reading *reading, Column *columns, Py_ssize_t rows, char *missing) {
    const Plan *plan = reading->plan;
    Sink *sink = &reading->sink;
    if (plan->is_zeroed) memset(sink->matrix, 0, (size_t)rows * (size_t)plan->width * sizeof(double));
    Status status = read_texts(plan, columns, rows, sink, missing);
    if (status) return status;
    Py_BEGIN_ALLOW_THREADS
    status = read_numbers(plan, columns, rows, sink, missing);
    Py_END_ALLOW_THREADS
    sink->rows = (size_t)rows;
    for (Py_ssize_t i = 0; i < rows; i++) sink->rows_with_missing += (size_t)missing[i];
    return status;
}

static PyObject *read_columns(Reading *reading, PyObject *arrays, Py_ssize_t rows) {
    Py_ssize_t count = PyTuple_Size(arrays), opened = 0;
    PyObject *result = NULL;
    Column *columns = calloc((size_t)count, sizeof(Column));
    char *missing = calloc((size_t)rows, 1);
    if (!columns || !missing) {
        PyErr_NoMemory();
        goto end;
    }
    for (; opened < count; opened++)
        if (open_column(&columns[opened], PyTuple_GetItem(arrays, opened), rows)) goto end;
    reading->sink.rows = 0;
    if (make_room(reading, (size_t)rows)) goto end;
    result = fill_from(reading, columns, rows, missing) ? Py_NewRef(Py_None) : found(reading);
end:
    if (opened < count && columns) PyBuffer_Release(&columns[opened].view); /* nothing where it was not opened */
    while (opened--) PyBuffer_Release(&columns[opened].view);
    free(columns);
    free(missing);
    return result;
}

/* columns(arrays, rows): an array of `rows` values for each feature. */
static PyObject *reader_columns(PyObject *object, PyObject *args) {
    Reading reading = {.plan = &((Reader *)object)->plan};
    PyObject *arrays, *result = NULL;
    Py_ssize_t rows;
    if (!PyArg_ParseTuple(args, "O!n", &PyTuple_Type, &arrays, &rows)) return NULL;
    if (rows < 1 || PyTuple_Size(arrays) != reading.plan->n_features) {
        PyErr_SetString(PyExc_ValueError, "columns takes an array for each feature, and at least one row");
        return NULL;
    }
    if (!open_reading(&reading, 0)) result = read_columns(&reading, arrays, rows);
    close_reading(&reading);
    return result;
}

/* --- an array of numbers ---------------------------------------------------------------------------------- */

static PyObject *flat_found(Flat *flat, PyObject *values, Py_ssize_t end) {
    if (PyByteArray_Resize(values, (Py_ssize_t)(flat->count * sizeof(double)))) return NULL;
    return Py_BuildValue("nOn", end, values, (Py_ssize_t)flat->width);
}

/* read_flat(body, start, most): (end, float64 values, the width of the lists within it or 0), or None. */
static PyObject *module_flat(PyObject *module, PyObject *args) {
    Py_buffer body;
    Py_ssize_t start, most;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nn", &body, &start, &most)) return NULL;
    PyObject *result = NULL, *values = PyByteArray_FromStringAndSize(NULL, 0);
    const char *begin = body.buf;
    Flat flat = {0};
    Text text = {begin, begin + body.len};
    if (start < 0 || start > body.len || most < 1) PyErr_SetString(PyExc_ValueError, "start lies outside the body");
    if (PyErr_Occurred() || !values) goto end;
    text.position = skip_blank(begin + start, text.end);
    flat.is_nested = text.position < text.end && *text.position == '[';
    if (flat.is_nested) text.position = skip_blank(text.position + 1, text.end);
    for (;;) {
        size_t left = (size_t)(text.end - text.position), full = flat.capacity;
        size_t each = flat.count ? ((size_t)body.len - left) / flat.count + 1 : 1;
        flat.capacity = flat.count ? flat.count + left / each + left / each / 16 + 64 : 512;
        if (flat.capacity > (size_t)most) flat.capacity = (size_t)most;
        if (PyByteArray_Resize(values, (Py_ssize_t)(flat.capacity * sizeof(double)))) goto end;
        flat.values = (double *)PyByteArray_AsString(values);
        Status status = GIVE_UP;
        if (flat.capacity > full) {
            Py_BEGIN_ALLOW_THREADS
            status = read_flat(&text, &flat);
            Py_END_ALLOW_THREADS
        }
        if (status == FULL) continue;
        result = status == DONE ? flat_found(&flat, values, text.position - begin) : Py_NewRef(Py_None);
        break;
    }
end:
    Py_XDECREF(values);
    PyBuffer_Release(&body);
    return result;
}

/* --- the module ------------------------------------------------------------------------------------------- */

static PyMethodDef reader_methods[] = {
    {"objects", reader_objects, METH_VARARGS, "objects(body, start, most_rows): rows as JSON objects"},
    {"object", reader_object, METH_VARARGS, "object(body, start): one row as a JSON object"},
    {"columns", reader_columns, METH_VARARGS, "columns(arrays, rows): rows as an array for each feature"},
    {"lists", reader_lists, METH_VARARGS, "lists(body, start, most_rows, order): rows as JSON arrays"},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot reader_slots[] = {
    {Py_tp_new, reader_new}, {Py_tp_dealloc, reader_dealloc}, {Py_tp_methods, reader_methods}, {0, NULL}};
static PyType_Spec reader_spec = {"mill_rows._native.Reader", sizeof(Reader), 0, Py_TPFLAGS_DEFAULT, reader_slots};

static int module_exec(PyObject *module) {
    if (numbers_ready()) {
        PyErr_SetString(PyExc_ImportError, "the C locale cannot be had");
        return -1;
    }
    PyObject *type = PyType_FromSpec(&reader_spec);
    if (!type) return -1;
    int failed = PyModule_AddObjectRef(module, "Reader", type);
    Py_DECREF(type);
    return failed;
}

static PyMethodDef module_methods[] = {
    {"read_flat", module_flat, METH_VARARGS, "read_flat(body, start, most): a JSON array of numbers"},
    {"join_rows", join_rows, METH_VARARGS, "join_rows(numbers, per_row, winners, marks, heads, between, tails): answers"},
    {"join_pieces", join_pieces, METH_VARARGS, "join_pieces(places, pieces): texts that repeat"},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_native", "Rows of requests to the engine's matrix.", 0, module_methods, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module_definition); }
