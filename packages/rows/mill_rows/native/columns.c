/* Columns to rows: tensors and tables that come in binary form. Any stride will do, so a column may lie in a larger matrix. */
#include "columns.h"

#include <math.h>

enum { BLOCK = 256 };
static const double MOST_MILLISECONDS = 8.64e15; /* mill_pack.encoding.dates.MAX_MILLISECONDS */

/* The letter of a format whose items are as wide here as in C; numpy writes `=` before it where an array is not aligned. */
static char letter_of(const char *format) {
    int is_standard = *format == '=';
    format += is_standard;
    if (!format[0] || format[1] || !strchr("?bBhHiIlLqQfdO", format[0])) return 0;
    return is_standard && strchr("lLO", format[0]) ? 0 : format[0];
}

int open_column(Column *column, PyObject *array, Py_ssize_t rows) {
    if (PyObject_GetBuffer(array, &column->view, PyBUF_STRIDES | PyBUF_FORMAT)) return -1;
    const Py_buffer *view = &column->view;
    if (view->ndim != 1 || view->shape[0] != rows) {
        PyErr_SetString(PyExc_ValueError, "a column has another number of rows");
        return -1;
    }
    column->format = letter_of(view->format ? view->format : "B");
    return 0;
}

static inline const char *item(const Column *column, Py_ssize_t row) {
    return (const char *)column->view.buf + row * column->view.strides[0];
}

/* --- numbers ---------------------------------------------------------------------------------------------- */

static void load(const Column *column, Py_ssize_t first, Py_ssize_t count, double *out) {
#define AS(letter, type)                                             \
    case letter:                                                     \
        for (Py_ssize_t i = 0; i < count; i++) {                     \
            type value;                                              \
            memcpy(&value, item(column, first + i), sizeof value);   \
            out[i] = (double)value;                                  \
        }                                                            \
        break
    switch (column->format) {
        AS('d', double);
        AS('f', float);
        AS('q', long long);
        AS('l', long);
        AS('i', int);
        AS('h', short);
        AS('b', signed char);
        AS('Q', unsigned long long);
        AS('L', unsigned long);
        AS('I', unsigned int);
        AS('H', unsigned short);
    default: /* B and ? */
        for (Py_ssize_t i = 0; i < count; i++) out[i] = (double)*(const unsigned char *)item(column, first + i);
    }
#undef AS
}

/* What the kind allows of numbers that are not missing. */
static int is_allowed(Kind kind, const double *values, Py_ssize_t count) {
    int wrong = 0;
    switch (kind) {
    case KIND_NUMBER:
        for (Py_ssize_t i = 0; i < count; i++) wrong |= fabs(values[i]) == INFINITY;
        break;
    case KIND_INTEGER:
        for (Py_ssize_t i = 0; i < count; i++) {
            int is_broken = values[i] == values[i] && values[i] != floor(values[i]);
            wrong |= is_broken || fabs(values[i]) == INFINITY;
        }
        break;
    case KIND_BOOLEAN:
        for (Py_ssize_t i = 0; i < count; i++) wrong |= values[i] == values[i] && values[i] != 0.0 && values[i] != 1.0;
        break;
    default:
        for (Py_ssize_t i = 0; i < count; i++) wrong |= fabs(values[i]) > MOST_MILLISECONDS;
    }
    return !wrong;
}

/* Numbers, none of them missing, that go to one column. */
static int put_simply(const Plan *plan, const Feature *feature, const double *values, Py_ssize_t count, double *row) {
    if (feature->n_writes != 1 || feature->raw >= 0) return 0;
    int is_missing = 0;
    for (Py_ssize_t i = 0; i < count; i++) is_missing |= values[i] != values[i];
    if (is_missing) return 0;
    const Write write = feature->writes[0];
    size_t width = (size_t)plan->width;
    row += write.column;
    if (write.is_plain)
        for (Py_ssize_t i = 0; i < count; i++, row += width) *row = values[i];
    else
        for (Py_ssize_t i = 0; i < count; i++, row += width) *row = (values[i] - write.shift) / write.scale;
    return 1;
}

static Status put_block(const Plan *plan, const Feature *feature, const double *values, Py_ssize_t count, Sink *sink, char *missing) {
    double *row = sink_row(plan, sink), *raw = sink_raw(plan, sink);
    if (put_simply(plan, feature, values, count, row)) return DONE;
    for (Py_ssize_t i = 0; i < count; i++, row += plan->width, raw += plan->raw_width) {
        if (values[i] == values[i]) {
            put_number(feature, row, raw, values[i]);
        } else {
            if (!put_missing(feature, row, raw)) return GIVE_UP;
            missing[i] = 1;
        }
    }
    return DONE;
}

Status read_numbers(const Plan *plan, const Column *columns, Py_ssize_t rows, Sink *sink, char *missing) {
    double values[BLOCK];
    for (Py_ssize_t first = 0; first < rows; first += BLOCK) {
        Py_ssize_t count = rows - first < BLOCK ? rows - first : BLOCK;
        sink->rows = (size_t)first;
        for (int32_t f = 0; f < plan->n_features; f++) {
            const Feature *feature = &plan->features[f];
            if (columns[f].format == 'O') continue;
            if (feature->kind == KIND_TEXT || !columns[f].format) return GIVE_UP;
            if (columns[f].format == '?' && feature->kind != KIND_BOOLEAN) return GIVE_UP;
            load(&columns[f], first, count, values);
            if (!is_allowed(feature->kind, values, count)) return GIVE_UP;
            if (put_block(plan, feature, values, count, sink, missing + first)) return GIVE_UP;
        }
    }
    return DONE;
}

/* --- texts ------------------------------------------------------------------------------------------------ */

static Status put_object(const Plan *plan, Sink *sink, int32_t number, PyObject *value, char *missing) {
    const Feature *feature = &plan->features[number];
    double *row = sink_row(plan, sink), *raw = sink_raw(plan, sink), moment;
    Py_ssize_t length;
    if (!value || value == Py_None) {
        *missing = 1;
        return put_missing(feature, row, raw) ? DONE : GIVE_UP;
    }
    if (!PyUnicode_Check(value)) return GIVE_UP;
    const char *text = PyUnicode_AsUTF8AndSize(value, &length);
    if (!text) {
        PyErr_Clear(); /* half a surrogate pair */
        return GIVE_UP;
    }
    if (feature->kind == KIND_TEXT) {
        const Entry *entry = table_find(&feature->table, text, (size_t)length);
        sink->unseen[number] += !entry;
        put_text(feature, row, entry ? entry->code : feature->unseen);
        return DONE;
    }
    if (feature->kind < KIND_DATE || !read_moment(text, (size_t)length, &moment)) return GIVE_UP;
    put_number(feature, row, raw, moment);
    return DONE;
}

Status read_texts(const Plan *plan, const Column *columns, Py_ssize_t rows, Sink *sink, char *missing) {
    for (int32_t f = 0; f < plan->n_features; f++) {
        if (columns[f].format != 'O') continue;
        for (Py_ssize_t row = 0; row < rows; row++) {
            PyObject *value;
            memcpy(&value, item(&columns[f], row), sizeof value);
            sink->rows = (size_t)row;
            if (put_object(plan, sink, f, value, missing + row)) return GIVE_UP;
        }
    }
    return DONE;
}
