/* One JSON value of one feature, checked and written to the columns it becomes. */
#include "rows.h"

#include <math.h>

static const double MOST_MILLISECONDS = 8.64e15; /* mill_pack.encoding.dates.MAX_MILLISECONDS */

void put_number(const Feature *feature, double *row, double *raw, double value) {
    if (feature->raw >= 0) raw[feature->raw] = value;
    for (int32_t i = 0; i < feature->n_writes; i++) {
        const Write *write = &feature->writes[i];
        row[write->column] = write->is_plain ? value : (value - write->shift) / write->scale;
    }
}

void put_text(const Feature *feature, double *row, double code) {
    if (!feature->one_hot)
        row[feature->column] = code;
    else if (code < feature->width)
        row[feature->column + (int32_t)code] = 1.0;
}

int put_missing(const Feature *feature, double *row, double *raw) {
    if (!feature->nullable) return 0;
    if (feature->kind == KIND_TEXT) {
        put_text(feature, row, feature->missing);
        return 1;
    }
    if (feature->raw >= 0) raw[feature->raw] = NAN;
    for (int32_t i = 0; i < feature->n_writes; i++) {
        const Write *write = &feature->writes[i];
        row[write->column] = (write->fill - write->shift) / write->scale;
    }
    return 1;
}

static int starts(const char *position, const char *end, const char *word, ptrdiff_t length) {
    return end - position >= length && !memcmp(position, word, (size_t)length);
}

static const char *read_category(const Feature *feature, Sink *sink, size_t number, double *row, const char *position,
                                 const char *end, String *scratch) {
    if (*position != '"' || !(position = read_string(position, end, scratch))) return NULL;
    const Entry *entry = table_find(&feature->table, scratch->text, scratch->length);
    if (!entry) {
        if (!is_utf8(scratch->text, scratch->length)) return NULL;
        sink->unseen[number]++;
    }
    put_text(feature, row, entry ? entry->code : feature->unseen);
    return position;
}

static const char *read_truth(const char *position, const char *end, double *value) {
    *value = *position == 't';
    if (starts(position, end, "true", 4)) return position + 4;
    return starts(position, end, "false", 5) ? position + 5 : NULL;
}

static const char *read_date(const Feature *feature, const char *position, const char *end, String *scratch, double *value) {
    if (*position == '"') {
        position = read_string(position, end, scratch);
        return position && read_moment(scratch->text, scratch->length, value) ? position : NULL;
    }
    if (feature->kind == KIND_DATE) return NULL; /* a bare number is no date */
    position = read_number(position, end, value);
    return position && fabs(*value) <= MOST_MILLISECONDS ? position : NULL;
}

const char *read_value(const Plan *plan, Sink *sink, size_t number, const char *position, const char *end, String *scratch,
                       int *is_missing) {
    const Feature *feature = &plan->features[number];
    double *row = sink_row(plan, sink), *raw = sink_raw(plan, sink), value;
    if (position >= end) return NULL;
    if (*position == 'n') {
        *is_missing = 1;
        return starts(position, end, "null", 4) && put_missing(feature, row, raw) ? position + 4 : NULL;
    }
    switch (feature->kind) {
    case KIND_NUMBER:
        position = read_number(position, end, &value);
        break;
    case KIND_INTEGER:
        position = read_number(position, end, &value);
        if (position && value != floor(value)) return NULL;
        break;
    case KIND_BOOLEAN:
        position = read_truth(position, end, &value);
        break;
    case KIND_TEXT:
        return read_category(feature, sink, number, row, position, end, scratch);
    default:
        position = read_date(feature, position, end, scratch, &value);
    }
    if (position) put_number(feature, row, raw, value);
    return position;
}
