/* Descends trees: general nodes where categories decide, pairs for numeric forests. Sums are made tree after
 * tree, in the order and the precision of the library. */
#include "forest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PHASE_STEPS = 6, PHASED_ROWS = 8192 };

typedef struct {
    double *wide;
    float *single;
} Sums;

static inline void add_leaf(const Plan *plan, Sums *sums, size_t row, int32_t tree, int32_t leaf) {
    size_t at = row * (size_t)plan->n_groups;
    if (plan->single_sum) {
        sums->single[at + (size_t)plan->group[tree]] += plan->single_leaves[leaf];
    } else if (plan->width == 1) {
        sums->wide[at + (size_t)plan->group[tree]] += plan->leaves[leaf];
    } else {
        const double *values = plan->leaves + (size_t)leaf * (size_t)plan->width;
        for (int32_t k = 0; k < plan->width; k++) sums->wide[at + (size_t)k] += values[k];
    }
}

static void start_sums(const Plan *plan, Sums *sums, size_t rows) {
    size_t n = (size_t)plan->n_groups;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < n; k++)
            if (plan->single_sum)
                sums->single[r * n + k] = (float)plan->base[k];
            else
                sums->wide[r * n + k] = plan->base[k];
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
    while (node->column >= 0) {
        node = plan->nodes + (goes_left(plan, node, row, values) ? node->left : node->right);
    }
    return node->left;
}

#define NAME(word) wide_##word
#define PAIR Pair
#define VALUE double
#define LEFT(pair) ((pair).left)
#define COLUMN(pair) ((pair).column)
#include "descend.h"
#undef NAME
#undef PAIR
#undef VALUE
#undef LEFT
#undef COLUMN
#define NAME(word) small_##word
#define PAIR SmallPair
#define VALUE float
#define LEFT(pair) ((pair).link >> COLUMN_BITS)
#define COLUMN(pair) ((pair).link & COLUMN_MASK)
#include "descend.h"

size_t row_scratch(const Plan *plan) {
    return ((size_t)plan->n_columns + 2 * (size_t)plan->n_groups) * sizeof(double);
}

void walk_row(const Plan *plan, const double *row, double *out, int raw, void *scratch) {
    double *values = scratch;
    Sums sums = {values + plan->n_columns, (float *)(values + plan->n_columns + plan->n_groups)};
    start_sums(plan, &sums, 1);
    if (plan->nodes || !plan->small)
        wide_fill(plan, row, values);
    else
        small_fill(plan, row, (float *)values);
    for (int32_t t = 0; t < plan->n_trees; t += LANES) {
        int32_t leaf[LANES], count = plan->n_trees - t < LANES ? plan->n_trees - t : LANES;
        if (plan->nodes)
            for (int32_t l = 0; l < count; l++) leaf[l] = walk_tree(plan, t + l, row, values);
        else if (plan->small)
            small_row_group(plan, plan->small, (float *)values, t, count, leaf);
        else
            wide_row_group(plan, plan->pairs, values, t, count, leaf);
        for (int32_t l = 0; l < count; l++) add_leaf(plan, &sums, 0, t + l, leaf[l]);
    }
    finish_rows(plan, &sums, 1, out, raw);
}

size_t walk_block(const Plan *plan) { return plan->layout == LAYOUT_PHASED ? PHASED_ROWS : BLOCK_ROWS; }

size_t walk_scratch(const Plan *plan) {
    size_t cells = (size_t)plan->n_columns + 2 * (size_t)plan->n_groups;
    size_t cursors = plan->layout == LAYOUT_PHASED ? 3 * sizeof(uint32_t) : 0;
    return walk_block(plan) * (cells * sizeof(double) + cursors);
}

static void walk_general(const Plan *plan, const double *x, size_t rows, const double *values, Sums *sums) {
    for (int32_t t = 0; t < plan->n_trees; t++)
        for (size_t r = 0; r < rows; r++) {
            const double *row = x + r * (size_t)plan->n_features;
            add_leaf(plan, sums, r, t, walk_tree(plan, t, row, values + r * (size_t)plan->n_columns));
        }
}

void walk_rows(const Plan *plan, const double *x, size_t rows, double *out, int raw, void *scratch) {
    size_t block = walk_block(plan), columns = (size_t)plan->n_columns, groups = (size_t)plan->n_groups;
    double *values = scratch;
    float *small = scratch;
    Sums sums = {values + block * columns, (float *)(values + block * (columns + groups))};
    uint32_t *at = (uint32_t *)(values + block * (columns + 2 * groups));
    int single = !plan->nodes && plan->small;
    for (size_t r = 0; r < rows; r++) {
        const double *row = x + r * (size_t)plan->n_features;
        if (single)
            small_fill(plan, row, small + r * columns);
        else
            wide_fill(plan, row, values + r * columns);
    }
    start_sums(plan, &sums, rows);
    if (plan->nodes)
        walk_general(plan, x, rows, values, &sums);
    else if (plan->layout == LAYOUT_PHASED && single)
        small_phased(plan, plan->small, small, rows, &sums, at, at + block, at + 2 * block);
    else if (plan->layout == LAYOUT_PHASED)
        wide_phased(plan, plan->pairs, values, rows, &sums, at, at + block, at + 2 * block);
    else if (single)
        small_lockstep(plan, plan->small, small, rows, &sums);
    else
        wide_lockstep(plan, plan->pairs, values, rows, &sums);
    finish_rows(plan, &sums, rows, out, raw);
}
