/* Turns validated nodes into the layout that suits the forest: a blend program for small trees, neighbouring
 * pairs for single rows and other numeric forests, general nodes where categories decide. */
#include "forest.h"

#if defined(__APPLE__)
#include <malloc/malloc.h>
#define malloc_usable_size malloc_size
#else
#include <malloc.h>
#endif
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Mean nodes per tree from which deep rows cost more than the bookkeeping of phases. */
enum { PHASED_FROM = 2048 };

void *aligned_zeros(size_t count, size_t size) {
    size_t bytes = (count * size + 127) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    if (memory) memset(memory, 0, bytes);
    return memory;
}

#define OWNED(p)                                                                                                     \
    {(p)->base,          (p)->group,         (p)->leaves,      (p)->single_leaves, (p)->column_feature,               \
     (p)->column_rule,   (p)->nodes,         (p)->roots,       (p)->category_bits, (p)->known_bits,                   \
     (p)->category_offsets, (p)->known_offsets, (p)->pairs,    (p)->small,         (p)->depth,                        \
     (p)->values,        (p)->single_values, (p)->crowns,      (p)->small_crowns,  (p)->exits,                        \
     (p)->crown_start,   (p)->crown_depth,   (p)->program,     (p)->sets,          (p)->program_offsets,              \
     (p)->leaf_offsets,  (p)->bin_offsets,   (p)->bin_span,    (p)->bin_start,     (p)->bins,                         \
     (p)->single_bins,   (p)->blend_single,  (p)->blend_leaves}

void plan_free(Plan *plan) {
    void *owned[] = OWNED(plan);
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    free(plan);
}

size_t plan_bytes(const Plan *plan) {
    void *owned[] = OWNED(plan);
    size_t bytes = sizeof *plan;
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) bytes += malloc_usable_size(owned[i]);
    return bytes;
}

/* --- blend programs ------------------------------------------------------------------------------------ */

typedef struct {
    const Plan *plan;
    const int32_t *node_bin;
    int32_t first;    /* the tree's first node */
    int32_t *leaf_id; /* by node of the tree: its number among the leaves as emitted */
    uint8_t *need;    /* by node of the tree: slots its evaluation needs (Sethi-Ullman) */
    Blend *out;
    int32_t emitted, leaves, sets;
    int32_t *leaf_rows;
} Emitter;

static int is_leaf(const Emitter *e, int32_t node) { return e->plan->nodes[node].column < 0; }

/* Trees of at most 256 leaves are at most 255 deep, so recursion is safe here. */
static uint8_t count_slots(Emitter *e, int32_t node) {
    uint8_t need = 0;
    if (!is_leaf(e, node)) {
        uint8_t a = count_slots(e, e->plan->nodes[node].left);
        uint8_t b = count_slots(e, e->plan->nodes[node].right);
        need = a == b ? a + 1 : a > b ? a : b;
    }
    return e->need[node - e->first] = need;
}

/* A set's mask is 0 (right) or -1 (left) per row; compared with this bin, 0 is above it and -1 is not. */
enum { SET_BIN = 0x7f };

static uint32_t add_set(const Plan *plan, const Node *node, int32_t number) {
    uint8_t *bits = plan->sets + (size_t)number * SET_BYTES;
    for (int code = 0; code < NO_SET_CODE; code++)
        if (in_set(plan->category_bits, plan->category_offsets, node->category, code))
            bits[code >> 3] |= (uint8_t)(1 << (code & 7));
    if (node->rule & GO_LEFT) bits[MISSING_CODE >> 3] |= 1 << (MISSING_CODE & 7);
    return (uint32_t)number;
}

static void emit(Emitter *e, int32_t node, uint8_t slot) {
    const Node *n = e->plan->nodes + node;
    if (n->column < 0) {
        e->leaf_id[node - e->first] = e->leaves;
        e->leaf_rows[e->leaves++] = n->left;
        return;
    }
    int left_first = e->need[n->left - e->first] >= e->need[n->right - e->first];
    int32_t one = left_first ? n->left : n->right, two = left_first ? n->right : n->left;
    uint8_t second = slot + !is_leaf(e, one);
    emit(e, one, slot);
    emit(e, two, second);
    uint8_t slot_left = left_first ? slot : second, slot_right = left_first ? second : slot;
    int left_leaf = is_leaf(e, n->left), right_leaf = is_leaf(e, n->right);
    int categorical = n->category >= 0;
    e->out[e->emitted++] = (Blend){
        .set = categorical ? add_set(e->plan, n, ++e->sets) : 0,
        .column = (uint16_t)(categorical ? n->codes : n->column),
        .bin = categorical ? SET_BIN : (uint8_t)e->node_bin[node],
        .constants = (uint8_t)(left_leaf | right_leaf << 1),
        .a = left_leaf ? (uint8_t)e->leaf_id[n->left - e->first] : slot_left,
        .b = right_leaf ? (uint8_t)e->leaf_id[n->right - e->first] : slot_right,
        .target = slot,
    };
}

/* Whether every code of every set fits a byte below the two reserved ones. */
static int sets_fit(const Plan *plan, int32_t n_nodes) {
    for (int32_t i = 0; i < n_nodes; i++) {
        int32_t set = plan->nodes[i].category;
        if (set < 0) continue;
        int32_t words = plan->category_offsets[set + 1] - plan->category_offsets[set];
        for (int64_t code = NO_SET_CODE; code < (int64_t)words * 32; code++)
            if (in_set(plan->category_bits, plan->category_offsets, set, code)) return 0;
    }
    return 1;
}

static int can_blend(const Plan *plan, int32_t n_nodes) {
    if (plan->width != 1 || plan->n_columns > UINT16_MAX || plan->n_groups > 64) return 0;
    for (int32_t c = 0; c < plan->n_columns; c++)
        if (plan->bin_offsets[c + 1] - plan->bin_offsets[c] > 255) return 0;
    return largest_tree(plan) <= 2 * 256 - 1 && sets_fit(plan, n_nodes);
}

static int allocate_blend(Plan *plan, int32_t n_nodes) {
    size_t n_sets = 1;
    for (int32_t i = 0; i < n_nodes; i++) n_sets += plan->nodes[i].category >= 0;
    plan->sets = aligned_zeros(n_sets, SET_BYTES);
    plan->program = aligned_zeros((size_t)n_nodes, sizeof *plan->program);
    plan->program_offsets = aligned_zeros((size_t)plan->n_trees + 1, sizeof(int32_t));
    plan->leaf_offsets = aligned_zeros((size_t)plan->n_trees + 1, sizeof(int32_t));
    plan->blend_leaves = aligned_zeros((size_t)n_nodes, sizeof(double));
    plan->blend_single = aligned_zeros((size_t)n_nodes, sizeof(float));
    return plan->sets && plan->program && plan->program_offsets && plan->leaf_offsets && plan->blend_leaves &&
                   plan->blend_single
               ? 0
               : -1;
}

/* Each column's thresholds become a run of a power of two, filled up with infinity, to be searched without
 * branches; bin_span[c] is the run's length and bin_start[c] its place. */
static int pad_bins(Plan *plan) {
    size_t n = (size_t)plan->n_columns, total = 0;
    plan->bin_span = aligned_zeros(n, sizeof(int32_t));
    plan->bin_start = aligned_zeros(n, sizeof(int32_t));
    if (!plan->bin_span || !plan->bin_start) return -1;
    for (size_t c = 0; c < n; c++) {
        int32_t count = plan->bin_offsets[c + 1] - plan->bin_offsets[c], span = 1;
        while (span - 1 < count) span *= 2;
        plan->bin_span[c] = span;
        plan->bin_start[c] = (int32_t)total;
        total += (size_t)span;
    }
    double *padded = aligned_zeros(total, sizeof(double));
    plan->single_bins = aligned_zeros(total, sizeof(float));
    if (!padded || !plan->single_bins) {
        free(padded);
        return -1;
    }
    for (size_t c = 0; c < n; c++)
        for (int32_t i = 0; i < plan->bin_span[c]; i++) {
            int32_t at = plan->bin_offsets[c] + i;
            double value = at < plan->bin_offsets[c + 1] ? plan->bins[at] : INFINITY;
            padded[plan->bin_start[c] + i] = value;
            plan->single_bins[plan->bin_start[c] + i] = (float)value;
        }
    free(plan->bins);
    plan->bins = padded;
    return 0;
}

static int build_blend(Plan *plan, const int32_t *node_bin, int32_t n_nodes) {
    int32_t leaf_id[512], leaf_rows[256], sets = 0;
    uint8_t need[512];
    if (allocate_blend(plan, n_nodes) || pad_bins(plan)) return -1;
    for (int32_t t = 0; t < plan->n_trees; t++) {
        Emitter e = {plan, node_bin, plan->roots[t], leaf_id, need, plan->program + plan->program_offsets[t],
                     0,    0,        sets,           leaf_rows};
        count_slots(&e, e.first);
        emit(&e, e.first, 0);
        sets = e.sets;
        plan->program_offsets[t + 1] = plan->program_offsets[t] + e.emitted;
        int32_t at = plan->leaf_offsets[t];
        plan->leaf_offsets[t + 1] = at + e.leaves;
        for (int32_t i = 0; i < e.leaves; i++) {
            plan->blend_leaves[at + i] = plan->leaves[leaf_rows[i]];
            plan->blend_single[at + i] = (float)plan->leaves[leaf_rows[i]];
        }
    }
    return 0;
}

static void drop(void *field) {
    void **place = field;
    free(*place);
    *place = NULL;
}

/* What the chosen layout does not read need not be kept. */
static void drop_unused(Plan *plan) {
    if (plan->layout == LAYOUT_WALK || plan->category_rule != CATEGORY_NONE) return;
    drop(&plan->nodes);
    drop(&plan->leaves);
    drop(&plan->single_leaves);
    if (!plan->small) return;
    drop(&plan->pairs);
    drop(&plan->crowns);
}

static enum layout choose_layout(const Plan *plan, int32_t n_nodes, int best) {
    int numeric = plan->category_rule == CATEGORY_NONE;
    if (best >= LAYOUT_BLEND && can_blend(plan, n_nodes)) return LAYOUT_BLEND;
    if (numeric && best >= LAYOUT_PHASED && n_nodes / plan->n_trees > PHASED_FROM) return LAYOUT_PHASED;
    return numeric && best >= LAYOUT_LOCKSTEP ? LAYOUT_LOCKSTEP : LAYOUT_WALK;
}

int plan_compile(Plan *plan, const int32_t *node_bin, int32_t n_nodes, int best, int crowned) {
    plan->layout = choose_layout(plan, n_nodes, best);
    if (plan->layout == LAYOUT_BLEND && build_blend(plan, node_bin, n_nodes)) return -1;
    int pairs = plan->layout != LAYOUT_WALK && plan->category_rule == CATEGORY_NONE;
    if (pairs && build_pairs(plan, n_nodes)) return -1;
    if (pairs && crowned && plan->layout != LAYOUT_BLEND && build_crowns(plan)) return -1; /* for blocks of rows only */
    drop_unused(plan);
    return 0;
}
