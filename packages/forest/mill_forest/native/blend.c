/* Blend programs: no descent at all. A block's columns are binned once against the forest's own thresholds
 * (exact, since the bins come from the model); then each split is one byte comparison and one choice of leaf
 * number over many rows, children before parents. */
#include "forest.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
int cpu_has_avx2(void) { return __builtin_cpu_supports("avx2"); }
#else
int cpu_has_avx2(void) { return 0; }
#endif
#define INLINE static inline __attribute__((always_inline))

typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef int8_t SignedBytes __attribute__((vector_size(16)));

typedef struct {
    double values[BLOCK_ROWS];
    float single[BLOCK_ROWS];
    int32_t bin[BLOCK_ROWS];
    uint8_t slots[MAX_BLEND_SLOTS][BLOCK_ROWS];
    uint8_t mask[BLOCK_ROWS];
    uint8_t columns[]; /* n_columns x BLOCK_ROWS, then the sums */
} Block;

size_t blend_scratch(const Plan *plan) {
    size_t sums = (size_t)plan->n_groups * BLOCK_ROWS * sizeof(double);
    return sizeof(Block) + (size_t)plan->n_columns * BLOCK_ROWS + sums + (size_t)plan->n_groups * sizeof(double);
}

/* How many thresholds lie below each value; never more than the column has, for the filling is infinite. */
#define COUNT_BELOW(name, TYPE)                                                                                  \
    INLINE void name(const TYPE *restrict bins, int32_t span, const TYPE *restrict x, int32_t *restrict bin) {  \
        for (int r = 0; r < BLOCK_ROWS; r++) bin[r] = 0;                                                         \
        if (span <= 16) {                                                                                        \
            for (int32_t k = 0; k < span - 1; k++)                                                               \
                for (int r = 0; r < BLOCK_ROWS; r++) bin[r] += bins[k] < x[r];                                   \
            return;                                                                                              \
        }                                                                                                        \
        for (int32_t half = span / 2; half; half /= 2)                                                           \
            for (int r = 0; r < BLOCK_ROWS; r++) bin[r] += bins[bin[r] + half - 1] < x[r] ? half : 0;            \
    }
COUNT_BELOW(count_below_double, double)
COUNT_BELOW(count_below_single, float)

/* column_view for a block, with the questions asked once per column instead of once per value. */
INLINE void load_column(const Plan *plan, const double *x, size_t rows, int32_t column, Block *block) {
    const double *feature = x + plan->column_feature[column];
    size_t stride = (size_t)plan->n_features;
    double *values = block->values;
    for (size_t r = 0; r < rows; r++) values[r] = feature[r * stride];
    for (size_t r = rows; r < BLOCK_ROWS; r++) values[r] = 0.0;
    if (plan->single_input)
        for (int r = 0; r < BLOCK_ROWS; r++) values[r] = (float)values[r];
    if (plan->flush_tiny)
        for (int r = 0; r < BLOCK_ROWS; r++) values[r] = fabs(values[r]) <= TINY ? 0.0 : values[r];
    if (plan->single_input)
        for (int r = 0; r < BLOCK_ROWS; r++) block->single[r] = (float)values[r];
}

INLINE void code_column(const Plan *plan, const double *x, size_t rows, int32_t column, Block *block) {
    uint8_t *out = block->columns + (size_t)column * BLOCK_ROWS;
    int32_t feature = plan->column_feature[column];
    for (size_t r = 0; r < rows; r++) {
        int64_t code = category_code(plan, feature, x[r * (size_t)plan->n_features + (size_t)feature]);
        int known = code >= 0 && code < NO_SET_CODE;
        out[r] = (uint8_t)(known ? code : code == CODE_MISSING ? MISSING_CODE : NO_SET_CODE);
    }
    memset(out + rows, 0, BLOCK_ROWS - rows);
}

/* The byte that stands for a bin is offset by 128, because the machine compares signed bytes. */
INLINE void bin_column(const Plan *plan, const double *x, size_t rows, int32_t column, Block *block) {
    uint8_t *out = block->columns + (size_t)column * BLOCK_ROWS, rule = plan->column_rule[column];
    int32_t span = plan->bin_span[column], start = plan->bin_start[column];
    int32_t last = plan->bin_offsets[column + 1] - plan->bin_offsets[column];
    const double *values = block->values;
    load_column(plan, x, rows, column, block);
    if (plan->single_input)
        count_below_single(plan->single_bins + start, span, block->single, block->bin);
    else
        count_below_double(plan->bins + start, span, values, block->bin);
    int32_t missing = rule & GO_LEFT ? 0 : last;
    if (rule & ZERO_IS_MISSING)
        for (int r = 0; r < BLOCK_ROWS; r++) block->bin[r] = values[r] == 0.0 ? missing : block->bin[r];
    for (int r = 0; r < BLOCK_ROWS; r++) {
        int32_t bin = values[r] != values[r] ? missing : block->bin[r];
        out[r] = (uint8_t)(bin ^ 0x80);
    }
}

/* --- one tree: the number of the leaf each row reaches, in slot 0 -------------------------------------- */

INLINE Bytes spread(uint8_t value) { return value - (Bytes){0}; }

/* -1 for the rows whose code is in the split's set, else 0. */
INLINE const uint8_t *mask_plain(const Plan *plan, const Blend *p, Block *block) {
    const uint8_t *codes = block->columns + (size_t)p->column * BLOCK_ROWS;
    const uint8_t *bits = plan->sets + (size_t)p->set * SET_BYTES;
    for (int r = 0; r < BLOCK_ROWS; r++) block->mask[r] = (uint8_t) - (bits[codes[r] >> 3] >> (codes[r] & 7) & 1);
    return block->mask;
}

static void blend_tree_plain(const Plan *plan, int32_t tree, Block *block) {
    const Blend *end = plan->program + plan->program_offsets[tree + 1];
    for (const Blend *p = plan->program + plan->program_offsets[tree]; p < end; p++) {
        const uint8_t *column = block->columns + (size_t)p->column * BLOCK_ROWS;
        const SignedBytes *bins = (const SignedBytes *)(p->set ? mask_plain(plan, p, block) : column);
        const Bytes *a = (const Bytes *)block->slots[p->a & 15], *b = (const Bytes *)block->slots[p->b & 15];
        Bytes *out = (Bytes *)block->slots[p->target];
        SignedBytes bin = (int8_t)(p->bin ^ 0x80) - (SignedBytes){0};
        Bytes leaf_a = spread(p->a), leaf_b = spread(p->b);
        for (int v = 0; v < BLOCK_ROWS / 16; v++) {
            Bytes above = (Bytes)(bins[v] > bin);
            Bytes left = p->constants & 1 ? leaf_a : a[v], right = p->constants & 2 ? leaf_b : b[v];
            out[v] = left ^ ((left ^ right) & above);
        }
    }
}

#if defined(__x86_64__)
/* The byte of the set that holds a code's bit comes from one of two shuffles: each gives 0 where the other speaks. */
AVX2 static inline const uint8_t *mask_avx2(const Plan *plan, const Blend *p, Block *block) {
    const __m256i *codes = (const __m256i *)(block->columns + (size_t)p->column * BLOCK_ROWS);
    const __m128i *bits = (const __m128i *)(plan->sets + (size_t)p->set * SET_BYTES);
    const __m256i low = _mm256_broadcastsi128_si256(bits[0]), high = _mm256_broadcastsi128_si256(bits[1]);
    const __m256i power = _mm256_set1_epi64x((long long)0x8040201008040201ULL);
    __m256i *mask = (__m256i *)block->mask;
    for (int v = 0; v < BLOCK_ROWS / 32; v++) {
        __m256i at = _mm256_and_si256(_mm256_srli_epi16(codes[v], 3), _mm256_set1_epi8(31));
        __m256i below = _mm256_shuffle_epi8(low, _mm256_add_epi8(at, _mm256_set1_epi8(0x70)));
        __m256i above = _mm256_shuffle_epi8(high, _mm256_sub_epi8(at, _mm256_set1_epi8(16)));
        __m256i bit = _mm256_shuffle_epi8(power, _mm256_and_si256(codes[v], _mm256_set1_epi8(7)));
        mask[v] = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_or_si256(below, above), bit), bit);
    }
    return block->mask;
}

#define BLEND_LOOP(LEFT, RIGHT)                                                                                  \
    for (int v = 0; v < BLOCK_ROWS / 32; v++)                                                                    \
        out[v] = _mm256_blendv_epi8(LEFT, RIGHT, _mm256_cmpgt_epi8(bins[v], bin));                               \
    break;

AVX2 static void blend_tree_avx2(const Plan *plan, int32_t tree, Block *block) {
    const Blend *end = plan->program + plan->program_offsets[tree + 1];
    for (const Blend *p = plan->program + plan->program_offsets[tree]; p < end; p++) {
        const uint8_t *column = block->columns + (size_t)p->column * BLOCK_ROWS;
        const __m256i *bins = (const __m256i *)(p->set ? mask_avx2(plan, p, block) : column);
        const __m256i *a = (const __m256i *)block->slots[p->a & 15], *b = (const __m256i *)block->slots[p->b & 15];
        __m256i *out = (__m256i *)block->slots[p->target];
        const __m256i bin = _mm256_set1_epi8((char)(p->bin ^ 0x80));
        const __m256i leaf_a = _mm256_set1_epi8((char)p->a), leaf_b = _mm256_set1_epi8((char)p->b);
        switch (p->constants) {
        case 0: BLEND_LOOP(a[v], b[v])
        case 1: BLEND_LOOP(leaf_a, b[v])
        case 2: BLEND_LOOP(a[v], leaf_b)
        default: BLEND_LOOP(leaf_a, leaf_b)
        }
    }
}
#endif

/* --- a block ------------------------------------------------------------------------------------------- */

INLINE void add_tree(const Plan *plan, int32_t tree, Block *block, double *sums) {
    const uint8_t *leaf = block->slots[0];
    int32_t first = plan->leaf_offsets[tree];
    size_t at = (size_t)plan->group[tree] * BLOCK_ROWS;
    if (plan->leaf_offsets[tree + 1] - first == 1) memset(block->slots[0], 0, BLOCK_ROWS);
    if (plan->single_sum) {
        float *single = (float *)sums + at;
        const float *values = plan->blend_single + first;
        for (int r = 0; r < BLOCK_ROWS; r++) single[r] += values[leaf[r]];
    } else {
        double *wide = sums + at;
        const double *values = plan->blend_leaves + first;
        for (int r = 0; r < BLOCK_ROWS; r++) wide[r] += values[leaf[r]];
    }
}

INLINE double *start_block(const Plan *plan, Block *block) {
    double *sums = (double *)(block->columns + (size_t)plan->n_columns * BLOCK_ROWS);
    for (size_t k = 0; k < (size_t)plan->n_groups; k++)
        for (size_t r = 0; r < BLOCK_ROWS; r++)
            if (plan->single_sum)
                ((float *)sums)[k * BLOCK_ROWS + r] = (float)plan->base[k];
            else
                sums[k * BLOCK_ROWS + r] = plan->base[k];
    return sums;
}

static void finish_block(const Plan *plan, const double *sums, size_t rows, double *out, int raw) {
    size_t groups = (size_t)plan->n_groups, outputs = (size_t)(raw ? plan->n_groups : plan->n_outputs);
    double *margins = (double *)sums + groups * BLOCK_ROWS;
    for (size_t r = 0; r < rows; r++) {
        for (size_t k = 0; k < groups; k++) {
            size_t at = k * BLOCK_ROWS + r;
            margins[k] = plan->single_sum ? ((const float *)sums)[at] : sums[at];
        }
        finish_row(plan, margins, out + r * outputs, raw);
    }
}

#define RUN_BLOCK(name, TREE)                                                                                    \
    static void name(const Plan *plan, const double *x, size_t rows, double *out, int raw, Block *block) {       \
        for (int32_t c = 0; c < plan->n_columns; c++)                                                            \
            if (plan->column_rule[c] & CATEGORY_COLUMN)                                                          \
                code_column(plan, x, rows, c, block);                                                            \
            else                                                                                                 \
                bin_column(plan, x, rows, c, block);                                                             \
        double *sums = start_block(plan, block);                                                                 \
        for (int32_t t = 0; t < plan->n_trees; t++) {                                                            \
            TREE(plan, t, block);                                                                                \
            add_tree(plan, t, block, sums);                                                                      \
        }                                                                                                        \
        finish_block(plan, sums, rows, out, raw);                                                                \
    }
RUN_BLOCK(run_plain, blend_tree_plain)
#if defined(__x86_64__)
AVX2 RUN_BLOCK(run_avx2, blend_tree_avx2)
#endif

void blend_rows(const Plan *plan, const double *x, size_t rows, double *out, int raw, void *scratch) {
#if defined(__x86_64__)
    if (plan->use_avx2) {
        run_avx2(plan, x, rows, out, raw, scratch);
        return;
    }
#endif
    run_plain(plan, x, rows, out, raw, scratch);
}
