/* What module.c needs of columns.c. */
#ifndef MILL_ROWS_COLUMNS_H
#define MILL_ROWS_COLUMNS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "rows.h"

/* One input column: numbers or truths of a machine type, or Python objects (format O). */
typedef struct {
    Py_buffer view;
    char format;
} Column;

/* Takes the buffer; -1 with an error where it is no column of `rows` values, 0 with `format` 0 where its type is unusual. */
int open_column(Column *column, PyObject *array, Py_ssize_t rows);

/* Rows `sink->rows` = 0 to `rows`, for which there is room; `missing` is a byte per row, zero at first. With the GIL held. */
Status read_texts(const Plan *plan, const Column *columns, Py_ssize_t rows, Sink *sink, char *missing);

/* The same of the columns that hold numbers; needs no GIL. */
Status read_numbers(const Plan *plan, const Column *columns, Py_ssize_t rows, Sink *sink, char *missing);

#endif
