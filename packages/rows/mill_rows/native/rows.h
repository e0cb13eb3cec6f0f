/* What the files of the reader share: the plan made once per model, the sink rows are written to, and the text being read. */
#ifndef MILL_ROWS_H
#define MILL_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum { KIND_NUMBER, KIND_INTEGER, KIND_BOOLEAN, KIND_TEXT, KIND_DATE, KIND_TIMESTAMP, KINDS } Kind;

/* One matrix column: ((value, or fill where missing) - shift) / scale. */
typedef struct {
    double fill, shift, scale;
    int32_t column, is_plain;
} Write;

typedef struct {
    char *text; /* NULL: a free slot */
    size_t length;
    uint64_t hash;
    double code;
} Entry;

/* Texts and their codes by open addressing, at most half full. */
typedef struct {
    Entry *slots;
    size_t mask;
} Table;

typedef struct {
    Kind kind;
    uint8_t nullable, required, one_hot;
    int32_t raw; /* the column of the raw block its value also goes to, or -1 */
    int32_t n_writes;
    Write *writes;
    int32_t column, width; /* of a text: where its columns begin, how many */
    double missing, unseen;
    Table table;
} Feature;

typedef struct {
    int32_t n_features, width, raw_width;
    int is_zeroed; /* rows begin as zeros: something is one-hot */
    Feature *features;
    Table names; /* code: the feature's number */
} Plan;

/* Where encoded rows go. `matrix` and `raw` hold `capacity` rows. */
typedef struct {
    double *matrix, *raw;
    size_t rows, capacity, rows_with_missing;
    size_t *unseen; /* per feature */
} Sink;

/* A JSON text being read; `position` stands at what comes next. */
typedef struct {
    const char *position, *end;
} Text;

/* GIVE_UP: something is wrong or merely unusual; the caller's other reader looks at the whole again. */
typedef enum { DONE, GIVE_UP, FULL } Status;

/* table.c */
int table_make(Table *table, size_t entries);
int table_add(Table *table, const char *text, size_t length, double code);
void table_free(Table *table);
const Entry *table_find(const Table *table, const char *text, size_t length);

/* number.c: a JSON number, correctly rounded; NULL when there is none, or none that float64 can hold. */
const char *read_number(const char *position, const char *end, double *value);
int numbers_ready(void);

/* text.c */
enum { LONGEST_UNESCAPED = 1024 };
typedef struct {
    const char *text;
    size_t length;
    char unescaped[LONGEST_UNESCAPED];
} String;
const char *read_string(const char *position, const char *end, String *string); /* from the opening quote; NULL: give up */
int is_utf8(const char *text, size_t length);

static inline const char *skip_blank(const char *position, const char *end) {
    while (position < end && (*position == ' ' || *position == '\n' || *position == '\t' || *position == '\r')) position++;
    return position;
}

/* moment.c: the usual forms of ISO 8601, in epoch milliseconds; 0 for any other. */
int read_moment(const char *text, size_t length, double *milliseconds);

/* value.c */
const char *read_value(const Plan *plan, Sink *sink, size_t number, const char *position, const char *end, String *scratch,
                       int *is_missing);
void put_number(const Feature *feature, double *row, double *raw, double value);
void put_text(const Feature *feature, double *row, double code);
int put_missing(const Feature *feature, double *row, double *raw);
static inline double *sink_row(const Plan *plan, const Sink *sink) { return sink->matrix + sink->rows * (size_t)plan->width; }
static inline double *sink_raw(const Plan *plan, const Sink *sink) { return sink->raw + sink->rows * (size_t)plan->raw_width; }

/* objects.c: the text stands at a row's opening brace. FULL: make room and call again. */
typedef struct {
    const char *begin; /* what stands before the value, from the end of the value before it */
    size_t length;
    uint32_t feature;
} Step;
typedef struct {
    Step *steps;    /* of the rows so far, one per feature */
    size_t known;   /* how many steps are */
    size_t *stamps; /* per feature: the last row, counted from 1, that held it */
} Guess;
Status read_object(const Plan *plan, Text *text, Sink *sink, Guess *guess); /* one, at its brace */
Status read_objects(const Plan *plan, Text *text, Sink *sink, Guess *guess);

/* lists.c: rows as lists, features in the given order. */
Status read_lists(const Plan *plan, const int32_t *order, Text *text, Sink *sink);
typedef struct {
    double *values;
    size_t count, capacity, inner_begun;
    size_t width; /* of each inner list; 0: there are none */
    int is_nested;
} Flat;
Status read_flat(Text *text, Flat *flat);

#endif
