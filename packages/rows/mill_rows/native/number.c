/* JSON numbers to float64, correctly rounded, as Python's own float() reads them.
 *
 * Up to 19 digits are gathered in a whole number and multiplied by a power of ten: exactly where both fit a float64
 * (Clinger), else by 128 bits of the power, which decides every case (Eisel and Lemire, "Number parsing at a gigabyte per
 * second"; the comparisons below are theirs). Longer numbers and rare exponents go to strtod in the C locale. */
#define _GNU_SOURCE
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "powers.h"
#include "rows.h"

enum { MOST_DIGITS = 19, LONGEST_SLOW = 512, EXACT_POWER = 22, FARTHEST_EXPONENT = 100000 };
static const uint64_t EXACT = (uint64_t)1 << 53;
static const double TENS[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static locale_t plain_locale;

int numbers_ready(void) {
    if (!plain_locale) plain_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return plain_locale ? 0 : -1;
}

static inline int is_digit(char c) { return (unsigned char)(c - '0') < 10; }

/* The high bit of each byte that is no digit, right up to and including the first. */
static inline uint64_t no_digits(uint64_t word) {
    return ((word + 0x4646464646464646u) | (word - 0x3030303030303030u)) & 0x8080808080808080u;
}

static inline uint64_t eight_digits(uint64_t word) {
    word -= 0x3030303030303030u;
    word = word * 10 + (word >> 8);
    return ((word & 0x000000FF000000FFu) * 0x000F424000000064u + (word >> 16 & 0x000000FF000000FFu) * 0x0000271000000001u) >> 32;
}

/* Up to eight at a time whatever their number: a loop over digits would mispredict its end at every number. */
static inline const char *read_digits(const char *position, const char *end, uint64_t *sum) {
    uint64_t found = *sum;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    static const uint64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    while (end - position >= 8) {
        uint64_t word;
        memcpy(&word, position, 8);
        uint64_t stop = no_digits(word);
        if (stop) {
            int count = __builtin_ctzll(stop) >> 3;
            word = count ? word << (64 - 8 * count) | 0x3030303030303030u >> (8 * count) : 0x3030303030303030u;
            *sum = found * powers[count] + eight_digits(word);
            return position + count;
        }
        found = found * 100000000 + eight_digits(word);
        position += 8;
    }
#endif
    for (; position < end && is_digit(*position); position++) found = found * 10 + (uint64_t)(*position - '0');
    *sum = found;
    return position;
}

/* What glibc makes of it: correctly rounded, whatever its length. */
static int slowly(const char *begin, const char *end, double *value) {
    char copy[LONGEST_SLOW + 1];
    size_t length = (size_t)(end - begin);
    if (length > LONGEST_SLOW) return 0;
    memcpy(copy, begin, length);
    copy[length] = 0;
    *value = strtod_l(copy, NULL, plain_locale);
    return isfinite(*value);
}

/* digits * 10^power, digits > 0; 0 where the result is no normal number. */
static int by_128_bits(uint64_t digits, int power, double *value) {
    int shift = __builtin_clzll(digits);
    const uint64_t *five = POWERS[power - LOWEST_POWER];
    digits <<= shift;
    unsigned __int128 product = (unsigned __int128)digits * five[0];
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    if ((high & 0x1FF) == 0x1FF) {
        uint64_t more = (uint64_t)((unsigned __int128)digits * five[1] >> 64);
        low += more;
        high += low < more;
    }
    int top = (int)(high >> 63);
    uint64_t mantissa = high >> (top + 9);
    int exponent = ((217706 * power) >> 16) + 63 + top - shift + 1023;
    if (exponent <= 0 || exponent >= 0x7FE) return 0;
    if (low <= 1 && power >= -4 && power <= 23 && (mantissa & 3) == 1 && mantissa << (top + 9) == high) mantissa &= ~(uint64_t)1;
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >> 53) {
        mantissa >>= 1;
        exponent++;
    }
    uint64_t bits = (mantissa & ~((uint64_t)1 << 52)) | (uint64_t)exponent << 52;
    memcpy(value, &bits, sizeof bits);
    return 1;
}

static const char *read_exponent(const char *position, const char *end, int *power) {
    int negative = 0, found = 0;
    if (position < end && (*position == '+' || *position == '-')) negative = *position++ == '-';
    if (position >= end || !is_digit(*position)) return NULL;
    for (; position < end && is_digit(*position); position++)
        if (found < FARTHEST_EXPONENT) found = found * 10 + (*position - '0');
    *power += negative ? -found : found;
    return position;
}

const char *read_number(const char *position, const char *end, double *value) {
    const char *begin = position;
    uint64_t digits = 0;
    int power = 0, is_whole = 1;
    if (position >= end) return NULL;
    uint64_t is_negative = *position == '-';
    position += is_negative;
    if (position >= end || !is_digit(*position)) return NULL;
    const char *first = position;
    position = read_digits(position, end, &digits);
    ptrdiff_t count = position - first;
    if (*first == '0' && count > 1) return NULL;
    if (position < end && *position == '.') {
        const char *fraction = ++position;
        position = read_digits(position, end, &digits);
        if (position == fraction) return NULL;
        count += position - fraction;
        power = position - fraction > LONGEST_SLOW ? -LONGEST_SLOW : -(int)(position - fraction);
        is_whole = 0;
    }
    if (position < end && (*position == 'e' || *position == 'E')) {
        is_whole = 0;
        if (!(position = read_exponent(position + 1, end, &power))) return NULL;
    }
    if (count > MOST_DIGITS) return slowly(begin, position, value) ? position : NULL;
    double found;
    if (!digits)
        found = 0.0;
    else if (digits <= EXACT && power >= -EXACT_POWER && power <= EXACT_POWER)
        found = power < 0 ? (double)digits / TENS[-power] : (double)digits * TENS[power];
    else if (power < LOWEST_POWER || power > HIGHEST_POWER || !by_128_bits(digits, power, &found))
        return slowly(begin, position, value) ? position : NULL;
    is_negative &= !(is_whole && !digits); /* -0 is the whole number 0 */
    uint64_t bits;
    memcpy(&bits, &found, sizeof bits);
    bits |= is_negative << 63; /* a branch would be wrong half the time */
    memcpy(value, &bits, sizeof bits);
    return position;
}
