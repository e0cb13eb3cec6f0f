/* Dates: `2024-01-31`, `2024-01-31T10:00[:00[.123[456]]][Z|+02:00]`. Other forms of ISO 8601 are the other reader's. */
#include "rows.h"

static int read_two(const char *text, int *value) {
    if ((unsigned char)(text[0] - '0') > 9 || (unsigned char)(text[1] - '0') > 9) return 0;
    *value = (text[0] - '0') * 10 + (text[1] - '0');
    return 1;
}

/* Howard Hinnant's days_from_civil. */
static int64_t days_of(int year, int month, int day) {
    year -= month <= 2;
    int era = year / 400, of_era = year - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int read_day(const char *text, int64_t *days) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int century, year, month, day;
    if (!read_two(text, &century) || !read_two(text + 2, &year) || text[4] != '-') return 0;
    if (!read_two(text + 5, &month) || text[7] != '-' || !read_two(text + 8, &day)) return 0;
    year += 100 * century;
    if (year < 1 || month < 1 || month > 12) return 0;
    int is_leap = (year % 4 == 0 && year % 100) || year % 400 == 0;
    if (day < 1 || day > lengths[month - 1] + (is_leap && month == 2)) return 0;
    *days = days_of(year, month, day);
    return 1;
}

/* `10:00`, `10:00:00`, with 3 or 6 digits of a second; what follows is left in `text`. In microseconds. */
static int read_time(const char **text, const char *end, int64_t *micros) {
    int hour, minute, second = 0;
    const char *p = *text;
    if (end - p < 5 || !read_two(p, &hour) || p[2] != ':' || !read_two(p + 3, &minute) || hour > 23 || minute > 59) return 0;
    p += 5;
    *micros = 0;
    if (end - p >= 3 && *p == ':') {
        if (!read_two(p + 1, &second) || second > 59) return 0;
        p += 3;
        if (p < end && *p == '.') {
            const char *begin = ++p;
            for (; p < end && (unsigned char)(*p - '0') < 10 && p - begin < 7; p++) *micros = *micros * 10 + (*p - '0');
            if (p - begin == 3)
                *micros *= 1000;
            else if (p - begin != 6)
                return 0;
        }
    }
    *micros += ((int64_t)hour * 3600 + minute * 60 + second) * 1000000;
    *text = p;
    return 1;
}

static int read_offset(const char *text, const char *end, int64_t *micros) {
    int hours, minutes;
    *micros = 0;
    if (text == end || (end - text == 1 && *text == 'Z')) return 1;
    if (end - text != 6 || (*text != '+' && *text != '-') || text[3] != ':') return 0;
    if (!read_two(text + 1, &hours) || !read_two(text + 4, &minutes) || hours > 23 || minutes > 59) return 0;
    *micros = ((int64_t)hours * 3600 + minutes * 60) * (*text == '-' ? -1000000 : 1000000);
    return 1;
}

int read_moment(const char *text, size_t length, double *milliseconds) {
    const char *end = text + length;
    int64_t days, micros = 0, offset = 0;
    if (length < 10 || !read_day(text, &days)) return 0;
    text += 10;
    if (text < end) {
        if (*text != 'T' && *text != ' ') return 0;
        text++;
        if (!read_time(&text, end, &micros) || !read_offset(text, end, &offset)) return 0;
    }
    int64_t all = days * 86400000000 + micros - offset;
    *milliseconds = (double)(all / 1000 - (all % 1000 < 0));
    return 1;
}
