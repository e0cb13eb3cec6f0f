/* JSON arrays of arrays to rows, and arrays of numbers, flat or nested once, to float64. */
#include "rows.h"

#include <math.h>

/* Behind a value: 1 behind a comma, 0 behind the closing bracket, -1 where neither is. */
static int goes_on(Text *text) {
    const char *p = skip_blank(text->position, text->end);
    if (p >= text->end || (*p != ',' && *p != ']')) return -1;
    text->position = *p == ',' ? skip_blank(p + 1, text->end) : p + 1;
    return *p == ',';
}

static Status read_list(const Plan *plan, const int32_t *order, Text *text, Sink *sink) {
    int is_missing = 0, more = 1;
    String scratch;
    if (plan->is_zeroed) memset(sink_row(plan, sink), 0, (size_t)plan->width * sizeof(double));
    text->position = skip_blank(text->position + 1, text->end);
    for (int32_t i = 0; i < plan->n_features; i++) {
        if (more != 1) return GIVE_UP;
        text->position = read_value(plan, sink, (size_t)order[i], text->position, text->end, &scratch, &is_missing);
        if (!text->position) return GIVE_UP;
        more = goes_on(text);
    }
    if (more) return GIVE_UP;
    sink->rows_with_missing += (size_t)is_missing;
    sink->rows++;
    return DONE;
}

Status read_lists(const Plan *plan, const int32_t *order, Text *text, Sink *sink) {
    for (;;) {
        if (text->position >= text->end || *text->position != '[') return GIVE_UP;
        if (sink->rows == sink->capacity) return FULL;
        if (read_list(plan, order, text, sink)) return GIVE_UP;
        int more = goes_on(text);
        if (more != 1) return more ? GIVE_UP : DONE;
    }
}

/* At a value, in the innermost list; FULL: make room and call again. */
Status read_flat(Text *text, Flat *flat) {
    for (;;) {
        if (flat->count == flat->capacity) return FULL;
        const char *p = text->position, *end = text->end;
        if (end - p >= 4 && !memcmp(p, "null", 4)) {
            flat->values[flat->count] = NAN;
            text->position = p + 4;
        } else if (!(text->position = read_number(p, end, &flat->values[flat->count]))) {
            return GIVE_UP;
        }
        flat->count++;
        int more = goes_on(text);
        if (more == 1) continue;
        if (more || !flat->is_nested) return more ? GIVE_UP : DONE;
        if (!flat->width) flat->width = flat->count;
        if (flat->count - flat->inner_begun != flat->width) return GIVE_UP;
        flat->inner_begun = flat->count;
        more = goes_on(text);
        if (more != 1) return more ? GIVE_UP : DONE;
        if (text->position >= text->end || *text->position != '[') return GIVE_UP;
        text->position = skip_blank(text->position + 1, text->end);
    }
}
