/* Lays out numeric forests: children as neighbours, leaves as numbers of distinct values, and the first levels of each
 * tree once more as a complete tree. plan.c calls this. */
#include "forest.h"

#include <stdlib.h>
#include <string.h>

int32_t largest_tree(const Plan *plan) {
    int32_t most = 0;
    for (int32_t t = 0; t < plan->n_trees; t++) {
        int32_t size = plan->roots[t + 1] - plan->roots[t];
        most = size > most ? size : most;
    }
    return most;
}

/* --- distinct values ------------------------------------------------------------------------------------ */

/* Numbers the distinct rows of leaf values: a deep forest of classes has few, which then stay in cache. */
typedef struct {
    Plan *plan;
    int32_t *slots; /* a hash table of numbers, -1 where free */
    uint64_t mask;
} Distinct;

static uint64_t hash_row(const double *values, int32_t width) {
    uint64_t hash = 0;
    for (int32_t k = 0; k < width; k++) {
        uint64_t bits;
        memcpy(&bits, values + k, sizeof bits);
        hash = (hash ^ bits) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 29;
    }
    return hash;
}

static uint32_t number_of(Distinct *d, const double *row) {
    Plan *plan = d->plan;
    size_t bytes = (size_t)plan->width * sizeof *row;
    for (uint64_t at = hash_row(row, plan->width);; at++) {
        int32_t *slot = d->slots + (at & d->mask);
        if (*slot < 0) {
            *slot = plan->n_values++;
            memcpy(plan->values + (size_t)*slot * (size_t)plan->width, row, bytes);
        }
        if (!memcmp(plan->values + (size_t)*slot * (size_t)plan->width, row, bytes)) return (uint32_t)*slot;
    }
}

static int new_distinct(Distinct *d, size_t leaves) {
    size_t slots = 16;
    while (slots < 2 * leaves) slots *= 2;
    d->mask = slots - 1;
    d->slots = malloc(slots * sizeof *d->slots);
    d->plan->values = aligned_zeros(leaves * (size_t)d->plan->width, sizeof(double));
    if (!d->slots || !d->plan->values) return -1;
    memset(d->slots, 0xff, slots * sizeof *d->slots);
    return 0;
}

/* The values in as much memory as they need, and as float32. */
static int keep_values(Plan *plan) {
    size_t count = (size_t)plan->n_values * (size_t)plan->width;
    double *values = aligned_zeros(count, sizeof *values);
    plan->single_values = aligned_zeros(count, sizeof *plan->single_values);
    if (!values || !plan->single_values) {
        free(values);
        return -1;
    }
    memcpy(values, plan->values, count * sizeof *values);
    free(plan->values);
    plan->values = values;
    for (size_t i = 0; i < count; i++) plan->single_values[i] = (float)values[i];
    return 0;
}

/* --- neighbouring pairs --------------------------------------------------------------------------------- */

typedef struct {
    int32_t node, depth;
    uint32_t pair;
} Step;

static size_t first_pair(const Plan *plan, int32_t tree) { return (size_t)plan->roots[tree] + (size_t)tree; }

static size_t count_pairs(const Plan *plan) { return first_pair(plan, plan->n_trees); }

/* The root stands at 1 so that children share even-odd couples and a lone leaf can point at itself. */
static void pair_tree(Distinct *d, int32_t tree, Step *stack) {
    Plan *plan = d->plan;
    Pair *pairs = plan->pairs + first_pair(plan, tree);
    uint32_t next = 2;
    int32_t top = 0;
    stack[top++] = (Step){plan->roots[tree], 0, 1};
    while (top) {
        Step at = stack[--top];
        const Node *node = plan->nodes + at.node;
        if (at.depth > plan->depth[tree]) plan->depth[tree] = at.depth;
        if (node->column < 0) {
            const double *values = plan->leaves + (size_t)node->left * (size_t)plan->width;
            pairs[at.pair] = (Pair){number_of(d, values), at.pair - 1, 0};
            continue;
        }
        pairs[at.pair] = (Pair){double_key(node->threshold), next, (uint32_t)node->column};
        stack[top++] = (Step){node->right, at.depth + 1, next + 1};
        stack[top++] = (Step){node->left, at.depth + 1, next};
        next += 2;
    }
}

static int is_end(const Pair *pairs, uint32_t at) { return pairs[at].left == at - 1; }

/* The key of a float32 threshold, from that of the same number as a double. */
static uint32_t small_key(uint64_t key) {
    union {
        uint64_t bits;
        double number;
    } view = {key >> 63 ? key & ~((uint64_t)1 << 63) : ~key};
    return float_key((float)view.number);
}

static int shrink_pairs(Plan *plan) {
    if (!plan->single_input || plan->n_columns > COLUMN_MASK || largest_tree(plan) >= 1 << (31 - COLUMN_BITS)) return 0;
    if (plan->n_values >= LOWEST_KEY) return 0;
    plan->small = aligned_zeros(count_pairs(plan), sizeof *plan->small);
    if (!plan->small) return -1;
    for (int32_t t = 0; t < plan->n_trees; t++) {
        size_t first = first_pair(plan, t);
        uint32_t count = (uint32_t)(first_pair(plan, t + 1) - first);
        const Pair *pairs = plan->pairs + first;
        for (uint32_t i = 1; i < count; i++) {
            uint32_t key = is_end(pairs, i) ? (uint32_t)pairs[i].key : small_key(pairs[i].key);
            plan->small[first + i] = (SmallPair){key, pairs[i].left << COLUMN_BITS | pairs[i].column};
        }
    }
    return 0;
}

int build_pairs(Plan *plan, int32_t n_nodes) {
    size_t leaves = ((size_t)n_nodes + (size_t)plan->n_trees) / 2; /* a tree has one leaf more than splits */
    Distinct d = {.plan = plan};
    Step *stack = malloc(((size_t)largest_tree(plan) + 2) * sizeof *stack);
    plan->pairs = aligned_zeros(count_pairs(plan), sizeof *plan->pairs);
    plan->depth = aligned_zeros((size_t)plan->n_trees, sizeof *plan->depth);
    int failed = new_distinct(&d, leaves) || !stack || !plan->pairs || !plan->depth;
    for (int32_t t = 0; !failed && t < plan->n_trees; t++) pair_tree(&d, t, stack);
    free(stack);
    free(d.slots);
    return failed || keep_values(plan) || shrink_pairs(plan) ? -1 : 0;
}

/* --- crowns --------------------------------------------------------------------------------------------- */

/* As deep as the tree, but not so deep that most of the complete tree stays empty. */
static int32_t depth_of_crown(const Plan *plan, int32_t tree) {
    int32_t size = plan->roots[tree + 1] - plan->roots[tree], depth = 0;
    while (depth < plan->depth[tree] && depth < MAX_CROWN && 1 << (depth + 1) <= 2 * size) depth++;
    return depth;
}

/* Recursion is at most MAX_CROWN deep. */
static void crown_tree(Plan *plan, int32_t tree, uint32_t place, int32_t levels, uint32_t at) {
    const Pair *pairs = plan->pairs + first_pair(plan, tree);
    size_t start = (size_t)plan->crown_start[tree];
    if (levels == 0) {
        int whole = plan->crown_depth[tree] == plan->depth[tree];
        uint32_t exit = whole ? (uint32_t)pairs[at].key : is_end(pairs, at) ? at | LEAF_EXIT : at;
        plan->exits[start + place - ((uint32_t)1 << plan->crown_depth[tree])] = exit;
        return;
    }
    if (is_end(pairs, at)) {
        plan->crowns[start + place] = (Crown){UINT64_MAX, 0};
        crown_tree(plan, tree, 2 * place, levels - 1, at);
        return;
    }
    plan->crowns[start + place] = (Crown){pairs[at].key, pairs[at].column * LANES};
    crown_tree(plan, tree, 2 * place, levels - 1, pairs[at].left);
    crown_tree(plan, tree, 2 * place + 1, levels - 1, pairs[at].left + 1);
}

int build_crowns(Plan *plan) {
    size_t trees = (size_t)plan->n_trees;
    plan->crown_start = aligned_zeros(trees + 1, sizeof *plan->crown_start);
    plan->crown_depth = aligned_zeros(trees, sizeof *plan->crown_depth);
    if (!plan->crown_start || !plan->crown_depth) return -1;
    for (int32_t t = 0; t < plan->n_trees; t++) {
        plan->crown_depth[t] = depth_of_crown(plan, t);
        plan->crown_start[t + 1] = plan->crown_start[t] + ((int64_t)1 << plan->crown_depth[t]);
    }
    size_t total = (size_t)plan->crown_start[trees];
    plan->crowns = aligned_zeros(total, sizeof *plan->crowns);
    plan->exits = aligned_zeros(total, sizeof *plan->exits);
    if (!plan->crowns || !plan->exits) return -1;
    for (int32_t t = 0; t < plan->n_trees; t++) crown_tree(plan, t, 1, plan->crown_depth[t], 1);
    if (!plan->small) return 0;
    plan->small_crowns = aligned_zeros(total, sizeof *plan->small_crowns);
    if (!plan->small_crowns) return -1;
    for (size_t i = 0; i < total; i++) {
        uint64_t key = plan->crowns[i].key;
        plan->small_crowns[i] =
            (SmallCrown){key == UINT64_MAX ? UINT32_MAX : small_key(key), plan->crowns[i].column};
    }
    return 0;
}
