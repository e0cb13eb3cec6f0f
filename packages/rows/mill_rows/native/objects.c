/* A JSON array of objects to rows. What stands before a value (a comma, its name, a colon, blanks) is nearly always what stood
 * there in the row before, so it is compared with that and read only where it differs. */
#include "rows.h"

static inline int is_same(const char *left, const char *right, size_t length) {
    uint64_t a, b;
    if (length < 8) return !memcmp(left, right, length);
    for (size_t i = 0; i + 8 <= length; i += 8) {
        memcpy(&a, left + i, 8);
        memcpy(&b, right + i, 8);
        if (a != b) return 0;
    }
    memcpy(&a, left + length - 8, 8);
    memcpy(&b, right + length - 8, 8);
    return a == b;
}

/* A name and its colon, up to the value; NULL for a name that is no feature. */
static const char *read_name(const Plan *plan, const char *position, const char *end, String *scratch, uint32_t *feature) {
    if (position >= end || *position != '"' || !(position = read_string(position, end, scratch))) return NULL;
    const Entry *entry = table_find(&plan->names, scratch->text, scratch->length);
    if (!entry) return NULL;
    *feature = (uint32_t)entry->code;
    position = skip_blank(position, end);
    if (position >= end || *position != ':') return NULL;
    return skip_blank(position + 1, end);
}

/* Where nothing can be guessed: DONE with `*feature` set and the text at its value, or with `*closed` behind the brace. */
static Status next_name(const Plan *plan, Text *text, Guess *guess, size_t place, String *scratch, uint32_t *feature, int *closed) {
    const char *begin = text->position, *end = text->end, *p = place ? skip_blank(begin, end) : begin + 1;
    if (!place) {
        p = skip_blank(p, end);
        *closed = p < end && *p == '}';
    } else {
        if (p >= end) return GIVE_UP;
        *closed = *p == '}';
        if (!*closed && *p != ',') return GIVE_UP;
        if (!*closed) p = skip_blank(p + 1, end);
    }
    if (*closed) {
        text->position = p + 1;
        return DONE;
    }
    if (place >= (size_t)plan->n_features || !(p = read_name(plan, p, end, scratch, feature))) return GIVE_UP;
    guess->steps[place] = (Step){begin, (size_t)(p - begin), *feature};
    if (guess->known <= place) guess->known = place + 1;
    text->position = p;
    return DONE;
}

/* Features the row does not hold are missing where that is allowed. */
static Status fill_rest(const Plan *plan, Sink *sink, const Guess *guess, size_t stamp) {
    for (int32_t i = 0; i < plan->n_features; i++) {
        if (guess->stamps[i] == stamp) continue;
        const Feature *feature = &plan->features[i];
        if (feature->required || !put_missing(feature, sink_row(plan, sink), sink_raw(plan, sink))) return GIVE_UP;
    }
    return DONE;
}

Status read_object(const Plan *plan, Text *text, Sink *sink, Guess *guess) {
    size_t stamp = sink->rows + 1, place = 0, features = (size_t)plan->n_features;
    int is_missing = 0, closed = 0;
    String scratch;
    if (plan->is_zeroed) memset(sink_row(plan, sink), 0, (size_t)plan->width * sizeof(double));
    for (;; place++) {
        uint32_t feature;
        const Step *step = &guess->steps[place];
        if (place < guess->known && (size_t)(text->end - text->position) > step->length &&
            is_same(text->position, step->begin, step->length)) {
            text->position += step->length;
            feature = step->feature;
        } else {
            if (next_name(plan, text, guess, place, &scratch, &feature, &closed)) return GIVE_UP;
            if (closed) break;
        }
        if (guess->stamps[feature] == stamp) return GIVE_UP; /* named twice */
        guess->stamps[feature] = stamp;
        text->position = read_value(plan, sink, feature, text->position, text->end, &scratch, &is_missing);
        if (!text->position) return GIVE_UP;
    }
    if (place < features) {
        if (fill_rest(plan, sink, guess, stamp)) return GIVE_UP;
        is_missing = 1;
    }
    sink->rows_with_missing += (size_t)is_missing;
    sink->rows++;
    return DONE;
}

Status read_objects(const Plan *plan, Text *text, Sink *sink, Guess *guess) {
    for (;;) {
        if (text->position >= text->end || *text->position != '{') return GIVE_UP;
        if (sink->rows == sink->capacity) return FULL;
        if (read_object(plan, text, sink, guess)) return GIVE_UP;
        const char *p = skip_blank(text->position, text->end);
        if (p >= text->end || (*p != ',' && *p != ']')) return GIVE_UP;
        text->position = p + 1;
        if (*p == ']') return DONE;
        text->position = skip_blank(p + 1, text->end);
    }
}
