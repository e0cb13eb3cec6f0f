/* What the files of the kernel share. Python has validated every index before a plan is built (validate.py);
 * nothing here checks them again. */
#ifndef MILL_FOREST_H
#define MILL_FOREST_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOCK_ROWS = 256, LANES = 16, MAX_BLEND_SLOTS = 16 };
enum rule { GO_LEFT = 1, ZERO_IS_MISSING = 2, CATEGORY_COLUMN = 4 };
enum link { LINK_IDENTITY, LINK_SIGMOID, LINK_SOFTMAX, LINK_EXP, LINK_SQUARE, LINK_LOG1PEXP };
enum category_rule { CATEGORY_NONE, CATEGORY_SIGNED, CATEGORY_UNSIGNED, CATEGORY_EXACT };
enum layout { LAYOUT_WALK, LAYOUT_LOCKSTEP, LAYOUT_PHASED, LAYOUT_BLEND };

/* One split or leaf. `column` is a virtual column (a feature and its rule for missing values), a feature when
 * `category` names a set (its virtual column is then `codes`), and -1 on a leaf, whose row of values is `left`. */
typedef struct {
    double threshold;
    int32_t left, right, column, category;
    uint32_t rule;
    int32_t codes;
} Node;

/* Values and thresholds of numeric forests are compared as keys: whole numbers of the same order as the floats, NaN
 * the highest, because a whole number compares and adds up in two instructions. */
static inline uint64_t double_key(double x) {
    union {
        double number;
        uint64_t bits;
    } view = {x + 0.0}; /* -0 becomes 0 */
    if (x != x) return UINT64_MAX;
    return view.bits >> 63 ? ~view.bits : view.bits | (uint64_t)1 << 63;
}

static inline uint32_t float_key(float x) {
    union {
        float number;
        uint32_t bits;
    } view = {x + 0.0f};
    if (x != x) return UINT32_MAX;
    return view.bits >> 31 ? ~view.bits : view.bits | (uint32_t)1 << 31;
}

/* Leaves have keys below this one, of minus infinity as a float. */
#define LOWEST_KEY 0x007fffff

/* A numeric split whose children are neighbours: right = left + 1, both counted from the tree's first node; rows above
 * its key go right. A leaf has left = itself - 1 and as key the number of its values, which every row is above, so that
 * a step from a leaf stays there. */
typedef struct {
    uint64_t key;
    uint32_t left, column;
} Pair;

/* The same in eight bytes, for forests of float32 thresholds: left << COLUMN_BITS | column. */
typedef struct {
    uint32_t key, link;
} SmallPair;
enum { COLUMN_BITS = 10, COLUMN_MASK = (1 << COLUMN_BITS) - 1 };

/* The first levels of a tree as a complete one, whose node i has the children 2i and 2i + 1, so that a step needs no
 * link; a leaf among them goes left to the end. Then `exits` says which pair a row has come to (and whether
 * it is a leaf), or, where the crown is the whole tree, the number of its values. `column` is the start of the column
 * in a tile of LANES rows. */
typedef struct {
    uint64_t key;
    uint32_t column;
} Crown;
typedef struct {
    uint32_t key, column;
} SmallCrown;
enum { MAX_CROWN = 10 };
#define LEAF_EXIT ((uint32_t)1 << 31)

/* Codes as bytes: those from NO_SET up are in no set of a forest that is blended. */
enum { NO_SET_CODE = 254, MISSING_CODE = 255, SET_BYTES = 32 };
/* One split of a blend program: rows whose bin exceeds `bin` take b, the others a. Bits of `constants` say
 * whether a (1) and b (2) are leaf numbers rather than slots. Where `set` is not 0, the column holds codes and the
 * set's bits say which of them take a. */
typedef struct {
    uint32_t set;
    uint16_t column;
    uint8_t bin, constants, a, b, target;
} Blend;

typedef struct {
    /* Shape and arithmetic. */
    int32_t n_features, n_groups, n_outputs, width, n_trees, n_columns;
    int32_t single_input, single_sum, flush_tiny, link, category_rule, binary, divisor, layout, use_avx2;
    double scale;
    double *base;
    int32_t *group;
    double *leaves;       /* n_leaves x width */
    float *single_leaves; /* the same when sums are float32 */
    /* Virtual columns. */
    int32_t *column_feature;
    uint8_t *column_rule;
    /* General nodes; kept where a walk needs them. */
    Node *nodes;
    int32_t *roots;
    uint32_t *category_bits, *known_bits;
    int32_t *category_offsets, *known_offsets;
    /* Numeric forests: neighbouring children, wide or small, and the distinct values of their leaves. */
    Pair *pairs;
    SmallPair *small;
    int32_t *depth, n_values;
    double *values; /* n_values x width */
    float *single_values;
    Crown *crowns;
    SmallCrown *small_crowns;
    uint32_t *exits;
    int64_t *crown_start;
    int32_t *crown_depth;
    /* Forests of small trees: binned columns and blend programs. */
    Blend *program;
    uint8_t *sets; /* SET_BYTES each; the first stands for none */
    int32_t *program_offsets, *leaf_offsets, *bin_offsets, *bin_span, *bin_start;
    double *bins;
    float *single_bins, *blend_single;
    double *blend_leaves;
} Plan;

/* LightGBM reads values this close to zero as zero before it looks at a tree. */
#define TINY ((double)1e-35f)

/* A feature as one virtual column sees it. Every split asks "is the value <= threshold?" and goes right when it
 * is not, so a missing value is NaN where the default is right and -inf where it is left. */
static inline double column_view(const Plan *plan, uint8_t rule, double x) {
    if (plan->single_input) x = (float)x;
    if (plan->flush_tiny && fabs(x) <= TINY) x = 0.0;
    if (x != x || ((rule & ZERO_IS_MISSING) && x == 0.0)) return rule & GO_LEFT ? -INFINITY : NAN;
    return x;
}

static inline int in_set(const uint32_t *bits, const int32_t *offsets, int32_t set, int64_t code) {
    int64_t words = offsets[set + 1] - offsets[set];
    return code >> 5 < words && (bits[offsets[set] + (code >> 5)] >> (code & 31) & 1);
}

enum { CODE_IN_NO_SET = -1, CODE_MISSING = -2 };

/* The category code of a value by the library's rule, or one of the two above. */
static inline int64_t category_code(const Plan *plan, int32_t feature, double x) {
    if (plan->single_input) x = (float)x;
    if (x != x) return CODE_MISSING;
    int exact = plan->category_rule == CATEGORY_EXACT;
    double end = plan->category_rule == CATEGORY_UNSIGNED ? 16777216.0 : 2147483648.0;
    int valid = plan->category_rule == CATEGORY_SIGNED ? x > -1.0 : x >= 0.0;
    if (!valid || !(x < end)) return exact ? CODE_MISSING : CODE_IN_NO_SET;
    int64_t code = (int64_t)x;
    if (!exact) return code;
    int known = in_set(plan->known_bits, plan->known_offsets, feature, code);
    return known && (double)code == x ? code : CODE_MISSING;
}

/* Where a row goes from a split; `values` are the row's virtual columns. */
static inline int goes_left(const Plan *plan, const Node *node, const double *row, const double *values) {
    if (node->category < 0) return values[node->column] <= node->threshold;
    int64_t code = category_code(plan, node->column, row[node->column]);
    if (code < 0) return code == CODE_MISSING && (node->rule & GO_LEFT);
    return in_set(plan->category_bits, plan->category_offsets, node->category, code);
}

/* plan.c */
int plan_compile(Plan *plan, const int32_t *node_bin, int32_t n_nodes, int best, int crowned);
void plan_free(Plan *plan);
size_t plan_bytes(const Plan *plan);
void *aligned_zeros(size_t count, size_t size);

/* pairs.c: 0, or -1 without memory */
int32_t largest_tree(const Plan *plan);
int build_pairs(Plan *plan, int32_t n_nodes);
int build_crowns(Plan *plan);

/* walk.c: scratch sizes are in bytes; a call handles as many rows as it has scratch for, best walk_block */
size_t row_scratch(const Plan *plan);
void walk_row(const Plan *plan, const double *row, double *out, int raw, void *scratch);
size_t walk_block(const Plan *plan);
size_t walk_scratch(const Plan *plan, size_t rows);
void walk_rows(const Plan *plan, const double *x, size_t rows, double *out, int raw, void *scratch);

/* blend.c: a call handles at most BLOCK_ROWS rows */
size_t blend_scratch(const Plan *plan);
void blend_rows(const Plan *plan, const double *x, size_t rows, double *out, int raw, void *scratch);
int cpu_has_avx2(void);

/* link.c: the margins of one row to its answer, as the library computes it */
void finish_row(const Plan *plan, double *margins, double *out, int raw);

#endif
