/* JSON strings to UTF-8. Most hold no escape and are used where they stand. */
#include "rows.h"

static inline uint64_t has_zero_byte(uint64_t word) { return (word - 0x0101010101010101u) & ~word & 0x8080808080808080u; }

/* The first quote, backslash or control character at or after `position`. */
static const char *plain_end(const char *position, const char *end) {
    uint64_t word;
    while (end - position >= 8) {
        memcpy(&word, position, 8);
        uint64_t control = (word - 0x2020202020202020u) & ~word & 0x8080808080808080u;
        if (control | has_zero_byte(word ^ 0x2222222222222222u) | has_zero_byte(word ^ 0x5C5C5C5C5C5C5C5Cu)) break;
        position += 8;
    }
    while (position < end && *position != '"' && *position != '\\' && (unsigned char)*position >= 0x20) position++;
    return position;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *read_unit(const char *position, const char *end, uint32_t *unit) {
    if (end - position < 4) return NULL;
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(position[i]);
        if (digit < 0) return NULL;
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return position + 4;
}

static size_t as_utf8(uint32_t point, char *out) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, point >>= 6) out[i] = (char)(0x80 | (point & 0x3F));
    out[0] = (char)((more == 1 ? 0xC0 : more == 2 ? 0xE0 : 0xF0) | point);
    return more + 1;
}

/* After the `u`; a lone half of a surrogate pair is given up. */
static const char *read_point(const char *position, const char *end, uint32_t *point) {
    uint32_t low;
    if (!(position = read_unit(position, end, point))) return NULL;
    if (*point < 0xD800 || *point > 0xDFFF) return position;
    if (*point > 0xDBFF || end - position < 6 || position[0] != '\\' || position[1] != 'u') return NULL;
    if (!(position = read_unit(position + 2, end, &low)) || low < 0xDC00 || low > 0xDFFF) return NULL;
    *point = 0x10000 + ((*point - 0xD800) << 10) + (low - 0xDC00);
    return position;
}

static const char *unescaped(const char *position, const char *end, String *string) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    string->text = string->unescaped;
    string->length = 0;
    for (;;) {
        const char *stop = plain_end(position, end);
        size_t plain = (size_t)(stop - position);
        if (stop == end || string->length + plain + 4 > LONGEST_UNESCAPED) return NULL;
        memcpy(string->unescaped + string->length, position, plain);
        string->length += plain;
        if (*stop == '"') return stop + 1;
        if (*stop != '\\' || end - stop < 2) return NULL;
        position = stop + 2;
        char *out = string->unescaped + string->length;
        if (stop[1] == 'u') {
            uint32_t point;
            if (!(position = read_point(position, end, &point))) return NULL;
            string->length += as_utf8(point, out);
        } else {
            const char *found = memchr(from, stop[1], sizeof from - 1);
            if (!found) return NULL;
            *out = to[found - from];
            string->length++;
        }
    }
}

const char *read_string(const char *position, const char *end, String *string) {
    const char *begin = position + 1, *stop = plain_end(begin, end);
    if (stop == end) return NULL;
    if (*stop == '"') {
        string->text = begin;
        string->length = (size_t)(stop - begin);
        return stop + 1;
    }
    return *stop == '\\' ? unescaped(begin, end, string) : NULL;
}

int is_utf8(const char *text, size_t length) {
    const unsigned char *p = (const unsigned char *)text, *end = p + length;
    while (p < end) {
        if (*p < 0x80) {
            p++;
            continue;
        }
        int more = *p >= 0xC2 && *p <= 0xDF ? 1 : *p >= 0xE0 && *p <= 0xEF ? 2 : *p >= 0xF0 && *p <= 0xF4 ? 3 : 0;
        if (!more || end - p <= more) return 0;
        if ((*p == 0xE0 && p[1] < 0xA0) || (*p == 0xED && p[1] > 0x9F) || (*p == 0xF0 && p[1] < 0x90) || (*p == 0xF4 && p[1] > 0x8F))
            return 0;
        for (int i = 1; i <= more; i++)
            if ((p[i] & 0xC0) != 0x80) return 0;
        p += more + 1;
    }
    return 1;
}
