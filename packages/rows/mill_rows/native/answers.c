/* Answers of many rows: texts that repeat, one behind the other; and JSON, from numbers that are JSON already and the unchanging pieces between them. */
#include "answers.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NUMBER = 32 };

typedef struct {
    const char *text;
    size_t length;
} Piece;

typedef struct {
    Piece *pieces;
    size_t count, longest, together;
} Pieces;

typedef struct {
    Py_buffer numbers, winners, marks;
    Pieces heads, between, tails;
    Piece *row; /* the numbers of the row being written */
    char *out;
    size_t per_row, length, separator;
} Joining;

static int pieces_of(PyObject *tuple, Pieces *found) {
    found->count = (size_t)PyTuple_Size(tuple);
    if (!(found->pieces = calloc(found->count + 1, sizeof(Piece)))) return PyErr_NoMemory(), -1;
    for (size_t i = 0; i < found->count; i++) {
        char *text;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, (Py_ssize_t)i), &text, &length)) return -1;
        found->pieces[i] = (Piece){text, (size_t)length};
        found->together += (size_t)length;
        if (found->longest < (size_t)length) found->longest = (size_t)length;
    }
    return 0;
}

static inline char *put(char *out, Piece piece) {
    memcpy(out, piece.text, piece.length);
    return out + piece.length;
}

/* 0, or -1 where the numbers are not as many as the rows need, or something points outside. */
static int write_rows(Joining *join) {
    const char *p = (const char *)join->numbers.buf + 1, *end = (const char *)join->numbers.buf + join->numbers.len - 1;
    const int64_t *winners = join->winners.buf;
    const unsigned char *marks = join->marks.buf;
    size_t rows = (size_t)join->marks.len;
    char *out = join->out;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < join->per_row; j++) {
            const char *comma = p <= end ? memchr(p, ',', (size_t)(end - p)) : NULL;
            const char *stop = comma ? comma : end;
            if (p >= end || stop - p > LONGEST_NUMBER) return -1;
            join->row[j] = (Piece){p, (size_t)(stop - p)};
            p = stop + 1;
        }
        if (winners[i] < 0 || (size_t)winners[i] >= join->heads.count || (size_t)winners[i] >= join->per_row) return -1;
        if (i) *out++ = (char)join->separator;
        out = put(put(out, join->heads.pieces[winners[i]]), join->row[winners[i]]);
        for (size_t j = 0; j < join->between.count; j++) out = put(put(out, join->between.pieces[j]), join->row[j]);
        out = put(out, join->tails.pieces[marks[i] != 0]);
    }
    join->length = (size_t)(out - join->out);
    return p == end + 1 ? 0 : -1;
}

static PyObject *joined(Joining *join) {
    size_t rows = (size_t)join->marks.len;
    int fits = join->per_row > 0 && rows && join->tails.count == 2 && join->numbers.len > 2 &&
               (join->between.count == 0 || join->between.count == join->per_row) &&
               join->winners.len == (Py_ssize_t)(rows * sizeof(int64_t));
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "the pieces do not fit the rows");
        return NULL;
    }
    size_t each = join->heads.longest + join->between.together + join->tails.longest + LONGEST_NUMBER + 1;
    join->out = malloc(rows * each + (size_t)join->numbers.len);
    join->row = calloc(join->per_row, sizeof(Piece));
    if (!join->out || !join->row) return PyErr_NoMemory();
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = write_rows(join);
    Py_END_ALLOW_THREADS
    if (!failed) return PyBytes_FromStringAndSize(join->out, (Py_ssize_t)join->length);
    PyErr_SetString(PyExc_ValueError, "the numbers do not fit the rows");
    return NULL;
}

/* join_rows(numbers, per_row, winners, marks, heads, between, tails, separator): for each row its head, the number of its winner,
 * what stands before each number and the number, and the tail of its mark. `numbers` is a JSON array of all rows' numbers. */
PyObject *join_rows(PyObject *module, PyObject *args) {
    Joining join = {0};
    PyObject *heads, *between, *tails, *result = NULL;
    Py_ssize_t per_row;
    unsigned char separator;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*ny*y*O!O!O!b", &join.numbers, &per_row, &join.winners, &join.marks, &PyTuple_Type, &heads,
                          &PyTuple_Type, &between, &PyTuple_Type, &tails, &separator))
        return NULL;
    join.per_row = per_row > 0 ? (size_t)per_row : 0;
    join.separator = separator;
    if (!pieces_of(heads, &join.heads) && !pieces_of(between, &join.between) && !pieces_of(tails, &join.tails))
        result = joined(&join);
    PyBuffer_Release(&join.numbers);
    PyBuffer_Release(&join.winners);
    PyBuffer_Release(&join.marks);
    free(join.heads.pieces);
    free(join.between.pieces);
    free(join.tails.pieces);
    free(join.out);
    free(join.row);
    return result;
}

/* --- texts that repeat ------------------------------------------------------------------------------------ */

/* How long they are together, or -1 where a place is outside. */
static Py_ssize_t length_of(const int64_t *places, size_t count, const Pieces *pieces) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        if (places[i] < 0 || (size_t)places[i] >= pieces->count) return -1;
        length += pieces->pieces[places[i]].length;
    }
    return (Py_ssize_t)length;
}

static PyObject *chosen(const int64_t *places, size_t count, const Pieces *pieces) {
    Py_ssize_t length = length_of(places, count, pieces);
    if (length < 0) {
        PyErr_SetString(PyExc_ValueError, "a place is no piece's");
        return NULL;
    }
    char *text = malloc((size_t)length + 1), *out = text;
    if (!text) return PyErr_NoMemory();
    for (size_t i = 0; i < count; i++) out = put(out, pieces->pieces[places[i]]);
    PyObject *result = PyBytes_FromStringAndSize(text, length);
    free(text);
    return result;
}

/* join_pieces(places, pieces): the pieces at these places, one behind the other. `places` are int64. */
PyObject *join_pieces(PyObject *module, PyObject *args) {
    Py_buffer places;
    Pieces pieces = {0};
    PyObject *tuple, *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*O!", &places, &PyTuple_Type, &tuple)) return NULL;
    if (places.len % (Py_ssize_t)sizeof(int64_t))
        PyErr_SetString(PyExc_ValueError, "places are int64");
    else if (!pieces_of(tuple, &pieces))
        result = chosen(places.buf, (size_t)places.len / sizeof(int64_t), &pieces);
    PyBuffer_Release(&places);
    free(pieces.pieces);
    return result;
}
