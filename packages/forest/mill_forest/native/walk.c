/* Descends trees: general nodes where categories decide, pairs for numeric forests. Sums are made tree after
 * tree, in the order and the precision of the library. */
#include "forest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Blocks are as large as the caches bear, so that each tree is read from memory for as many rows as can be. */
enum { PHASE_STEPS = 6, MAX_WALK_ROWS = 8192, WALK_CELLS = 1 << 19 };

/* Sums of a block, and what is added to them: values by leaf row, or by number of a pair's. */
typedef struct {
    double *wide;
    float *single;
    const double *leaves;
    const float *single_leaves;
} Sums;

/* Where a row of a block stands in a tree: at a pair, or done, with the number of its values. */
typedef struct {
    uint32_t at, row;
} Cursor;

typedef struct {
    Cursor *going, *done;
    size_t kept, ended;
} Lists;

static inline void add_leaf(const Plan *plan, Sums *sums, size_t row, int32_t tree, int32_t leaf) {
    size_t at = row * (size_t)plan->n_groups;
    if (plan->single_sum) {
        sums->single[at + (size_t)plan->group[tree]] += sums->single_leaves[leaf];
    } else if (plan->width == 1) {
        sums->wide[at + (size_t)plan->group[tree]] += sums->leaves[leaf];
    } else {
        const double *values = sums->leaves + (size_t)leaf * (size_t)plan->width;
        for (int32_t k = 0; k < plan->width; k++) sums->wide[at + (size_t)k] += values[k];
    }
}

/* The leaves of neighbouring rows. */
static inline void add_leaves(const Plan *plan, Sums *sums, size_t row, size_t count, int32_t tree,
                              const uint32_t *leaves) {
    if (plan->width == 2 && !plan->single_sum)
        for (size_t l = 0; l < count; l++)
            for (size_t k = 0; k < 2; k++) sums->wide[2 * (row + l) + k] += sums->leaves[2 * (size_t)leaves[l] + k];
    else
        for (size_t l = 0; l < count; l++) add_leaf(plan, sums, row + l, tree, (int32_t)leaves[l]);
}

static Sums new_sums(const Plan *plan, double *wide, size_t rows) {
    size_t n = (size_t)plan->n_groups;
    Sums sums = {wide, (float *)(wide + rows * n), plan->leaves, plan->single_leaves};
    if (plan->values) sums.leaves = plan->values, sums.single_leaves = plan->single_values;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < n; k++)
            if (plan->single_sum)
                sums.single[r * n + k] = (float)plan->base[k];
            else
                sums.wide[r * n + k] = plan->base[k];
    return sums;
}

static void finish_rows(const Plan *plan, Sums *sums, size_t rows, double *out, int raw) {
    size_t n = (size_t)plan->n_groups, outputs = (size_t)(raw ? plan->n_groups : plan->n_outputs);
    for (size_t r = 0; r < rows; r++) {
        double *margins = sums->wide + r * n;
        if (plan->single_sum)
            for (size_t k = 0; k < n; k++) margins[k] = sums->single[r * n + k];
        finish_row(plan, margins, out + r * outputs, raw);
    }
}

static int32_t walk_tree(const Plan *plan, int32_t tree, const double *row, const double *values) {
    const Node *node = plan->nodes + plan->roots[tree];
    while (node->column >= 0)
        node = plan->nodes + (goes_left(plan, node, row, values) ? node->left : node->right);
    return node->left;
}

static void general_fill(const Plan *plan, const double *row, double *values) {
    for (int32_t c = 0; c < plan->n_columns; c++)
        values[c] = column_view(plan, plan->column_rule[c], row[plan->column_feature[c]]);
}

static inline uint64_t wide_key(double x) { return double_key(x); }
static inline uint32_t small_key(double x) { return float_key((float)x); }

#define NAME(word) wide_##word
#define PAIR Pair
#define CROWN Crown
#define KEY uint64_t
#define BELOW(key, value) ((key) < (value))
#define LEFT(pair) ((pair).left)
#define COLUMN(pair) ((pair).column)
#include "descend.h"
#undef NAME
#undef PAIR
#undef CROWN
#undef KEY
#undef BELOW
#undef LEFT
#undef COLUMN
#define NAME(word) small_##word
#define PAIR SmallPair
#define CROWN SmallCrown
#define KEY uint32_t
#define BELOW(key, value) (((uint64_t)(key) - (value)) >> 63) /* fewer instructions than a comparison */
#define LEFT(pair) ((pair).link >> COLUMN_BITS)
#define COLUMN(pair) ((pair).link & COLUMN_MASK)
#include "descend.h"

size_t row_scratch(const Plan *plan) { return ((size_t)plan->n_columns + 2 * (size_t)plan->n_groups) * sizeof(double); }

void walk_row(const Plan *plan, const double *row, double *out, int raw, void *scratch) {
    double *cells = scratch;
    Sums sums = new_sums(plan, cells + plan->n_columns, 1);
    if (plan->nodes)
        general_fill(plan, row, scratch);
    else if (plan->small)
        small_fill_row(plan, row, scratch);
    else
        wide_fill_row(plan, row, scratch);
    for (int32_t t = 0; t < plan->n_trees; t += LANES) {
        int32_t leaf[LANES], count = plan->n_trees - t < LANES ? plan->n_trees - t : LANES;
        if (plan->nodes)
            for (int32_t l = 0; l < count; l++) leaf[l] = walk_tree(plan, t + l, row, cells);
        else if (plan->small)
            small_row_group(plan, plan->small, scratch, t, count, leaf);
        else
            wide_row_group(plan, plan->pairs, scratch, t, count, leaf);
        for (int32_t l = 0; l < count; l++) add_leaf(plan, &sums, 0, t + l, leaf[l]);
    }
    finish_rows(plan, &sums, 1, out, raw);
}

/* Values of a row, or its keys twice; in units of doubles. */
static size_t row_cells(const Plan *plan) {
    size_t columns = (size_t)plan->n_columns;
    return plan->nodes || plan->small ? columns : 2 * columns;
}

size_t walk_block(const Plan *plan) {
    if (plan->nodes) return BLOCK_ROWS;
    size_t rows = WALK_CELLS / (row_cells(plan) + 1) / BLOCK_ROWS * BLOCK_ROWS;
    return rows < BLOCK_ROWS ? BLOCK_ROWS : rows < MAX_WALK_ROWS ? rows : MAX_WALK_ROWS;
}

size_t walk_scratch(const Plan *plan, size_t rows) {
    size_t cells = row_cells(plan) + 2 * (size_t)plan->n_groups, padded = (rows + LANES - 1) / LANES * LANES;
    return padded * (cells * sizeof(double) + 2 * sizeof(Cursor));
}

static void walk_general(const Plan *plan, const double *x, size_t rows, double *values, Sums *sums) {
    size_t columns = (size_t)plan->n_columns, features = (size_t)plan->n_features;
    for (size_t r = 0; r < rows; r++) general_fill(plan, x + r * features, values + r * columns);
    for (int32_t t = 0; t < plan->n_trees; t++)
        for (size_t r = 0; r < rows; r++)
            add_leaf(plan, sums, r, t, walk_tree(plan, t, x + r * features, values + r * columns));
}

static void walk_wide(const Plan *plan, const double *x, size_t rows, uint64_t *space, Sums *sums, Lists lists) {
    size_t columns = (size_t)plan->n_columns;
    uint64_t *tiles = space + (rows + LANES - 1) / LANES * LANES * columns;
    wide_fill(plan, x, rows, space, tiles);
    wide_Keys keys = {space, tiles, columns, rows};
    if (plan->layout == LAYOUT_PHASED)
        wide_phased(plan, plan->pairs, plan->crowns, &keys, sums, lists);
    else
        wide_lockstep(plan, plan->pairs, plan->crowns, &keys, sums);
}

static void walk_small(const Plan *plan, const double *x, size_t rows, uint32_t *space, Sums *sums, Lists lists) {
    size_t columns = (size_t)plan->n_columns;
    uint32_t *tiles = space + (rows + LANES - 1) / LANES * LANES * columns;
    small_fill(plan, x, rows, space, tiles);
    small_Keys keys = {space, tiles, columns, rows};
    if (plan->layout == LAYOUT_PHASED)
        small_phased(plan, plan->small, plan->small_crowns, &keys, sums, lists);
    else
        small_lockstep(plan, plan->small, plan->small_crowns, &keys, sums);
}

void walk_rows(const Plan *plan, const double *x, size_t rows, double *out, int raw, void *scratch) {
    size_t block = (rows + LANES - 1) / LANES * LANES, groups = (size_t)plan->n_groups;
    double *cells = scratch;
    Sums sums = new_sums(plan, cells + block * row_cells(plan), rows);
    Cursor *cursors = (Cursor *)(cells + block * (row_cells(plan) + 2 * groups));
    Lists lists = {cursors, cursors + block, 0, 0};
    if (plan->nodes)
        walk_general(plan, x, rows, cells, &sums);
    else if (plan->small)
        walk_small(plan, x, rows, scratch, &sums, lists);
    else
        walk_wide(plan, x, rows, scratch, &sums, lists);
    finish_rows(plan, &sums, rows, out, raw);
}
