/* Descent by keys; walk.c includes this once per kind of pair after defining PAIR, CROWN, KEY, BELOW(key, value),
 * LEFT(pair), COLUMN(pair) and NAME(word). Loops have no branch on the rows: a step from a leaf stays there, and they
 * stop when a whole group of lanes stands still.
 *
 * A block's keys lie row by row, for lanes that go their own ways, and for crowns once more in tiles of LANES rows,
 * column after column, so that lanes at the same column read neighbours. */

static inline uint32_t NAME(step)(const PAIR *pairs, uint32_t at, const KEY *row) {
    PAIR pair = pairs[at];
    return LEFT(pair) + (uint32_t)BELOW(pair.key, row[COLUMN(pair)]);
}

static void NAME(fill_row)(const Plan *plan, const double *row, KEY *keys) {
    for (int32_t c = 0; c < plan->n_columns; c++)
        keys[c] = NAME(key)(column_view(plan, plan->column_rule[c], row[plan->column_feature[c]]));
}

static void NAME(fill)(const Plan *plan, const double *x, size_t rows, KEY *keys, KEY *tiles) {
    size_t columns = (size_t)plan->n_columns;
    for (size_t r = 0; r < rows; r++) {
        KEY *row = keys + r * columns, *lane = tiles + r / LANES * LANES * columns + r % LANES;
        NAME(fill_row)(plan, x + r * (size_t)plan->n_features, row);
        for (size_t c = 0; c < columns; c++) lane[c * LANES] = row[c];
    }
}

/* What a block's keys are, and how many rows: padded by what lies there to whole tiles. */
typedef struct {
    const KEY *rows, *tiles;
    size_t columns, count;
} NAME(Keys);

/* One row, LANES trees abreast: their cache misses overlap. `leaf` receives a leaf's values per tree of the group. */
static void NAME(row_group)(const Plan *plan, const PAIR *all, const KEY *row, int32_t tree, int32_t count,
                            int32_t *leaf) {
    uint32_t at[LANES];
    const PAIR *pairs[LANES];
    int32_t depth = 0;
    for (int l = 0; l < LANES; l++) {
        int32_t t = tree + (l < count ? l : count - 1);
        pairs[l] = all + plan->roots[t] + t;
        at[l] = 1;
        depth = plan->depth[t] > depth ? plan->depth[t] : depth;
    }
    for (int32_t d = 0; d < depth; d += 3) {
        uint32_t moved = 0;
        for (int s = 0; s < 2; s++)
            for (int l = 0; l < LANES; l++) at[l] = NAME(step)(pairs[l], at[l], row);
        for (int l = 0; l < LANES; l++) {
            uint32_t next = NAME(step)(pairs[l], at[l], row);
            moved |= next ^ at[l];
            at[l] = next;
        }
        if (!moved) break;
    }
    for (int32_t l = 0; l < count; l++) leaf[l] = (int32_t)pairs[l][at[l]].key;
}

/* A tile through the crown of a tree. The lanes' places fit the registers when nothing else has to: hence a function
 * of its own. */
static __attribute__((noinline)) void NAME(crown)(const CROWN *crown, int32_t depth, const KEY *tile,
                                                  const uint32_t *exits, uint32_t *out) {
    size_t at[LANES];
    for (int l = 0; l < LANES; l++) at[l] = 1;
    for (int32_t d = 0; d < depth; d++)
        for (int l = 0; l < LANES; l++) {
            const CROWN *node = crown + at[l];
            const KEY *column = tile + node->column;
            at[l] = at[l] + at[l] + BELOW(node->key, column[l]);
        }
    for (int l = 0; l < LANES; l++) out[l] = exits[at[l] - ((size_t)1 << depth)];
}

/* Where the rows from `first` on stand after the crown, or at the root. */
static inline void NAME(enter)(const Plan *plan, const CROWN *crowns, int32_t tree, const NAME(Keys) *keys, size_t first,
                               uint32_t *at) {
    for (int l = 0; l < LANES; l++) at[l] = 1;
    if (!crowns) return;
    int64_t start = plan->crown_start[tree];
    const KEY *tile = keys->tiles + first * keys->columns;
    NAME(crown)(crowns + start, plan->crown_depth[tree], tile, plan->exits + start, at);
}

/* Whether the crown is the whole tree; its exits are then numbers of values. */
static inline int NAME(is_whole)(const Plan *plan, const CROWN *crowns, int32_t tree) {
    return crowns && plan->crown_depth[tree] == plan->depth[tree];
}

/* Steps until all lanes stand still: the numbers of their values. */
static inline void NAME(descend)(const PAIR *pairs, const KEY *const *row, int32_t depth, uint32_t *at) {
    for (int l = 0; l < LANES; l++) at[l] &= ~LEAF_EXIT;
    for (int32_t d = 0; d < depth; d += 3) {
        uint32_t moved = 0;
        for (int s = 0; s < 2; s++)
            for (int l = 0; l < LANES; l++) at[l] = NAME(step)(pairs, at[l], row[l]);
        for (int l = 0; l < LANES; l++) {
            uint32_t next = NAME(step)(pairs, at[l], row[l]);
            moved |= next ^ at[l];
            at[l] = next;
        }
        if (!moved) break;
    }
    for (int l = 0; l < LANES; l++) at[l] = (uint32_t)pairs[at[l]].key;
}

/* One tree, LANES rows abreast. */
static void NAME(lockstep_tree)(const Plan *plan, int32_t tree, const PAIR *all, const CROWN *crowns,
                                const NAME(Keys) *keys, Sums *sums) {
    int32_t depth = plan->depth[tree] - (crowns ? plan->crown_depth[tree] : 0);
    for (size_t r = 0; r < keys->count; r += LANES) {
        uint32_t at[LANES];
        const KEY *row[LANES];
        size_t count = keys->count - r < LANES ? keys->count - r : LANES;
        NAME(enter)(plan, crowns, tree, keys, r, at);
        if (!NAME(is_whole)(plan, crowns, tree)) {
            for (size_t l = 0; l < LANES; l++) row[l] = keys->rows + (r + (l < count ? l : 0)) * keys->columns;
            NAME(descend)(all + plan->roots[tree] + tree, row, depth, at);
        }
        add_leaves(plan, sums, r, count, tree, at);
    }
}

static void NAME(lockstep)(const Plan *plan, const PAIR *all, const CROWN *crowns, const NAME(Keys) *keys, Sums *sums) {
    for (int32_t t = 0; t < plan->n_trees; t++) NAME(lockstep_tree)(plan, t, all, crowns, keys, sums);
}

/* From the root through the crown; what leaves it at a leaf is done. */
static void NAME(first_phase)(const Plan *plan, int32_t tree, const CROWN *crowns, const NAME(Keys) *keys,
                              Lists *lists) {
    lists->kept = lists->ended = 0;
    for (size_t r = 0; r < keys->count; r += LANES) {
        uint32_t at[LANES];
        size_t count = keys->count - r < LANES ? keys->count - r : LANES;
        NAME(enter)(plan, crowns, tree, keys, r, at);
        for (size_t l = 0; l < count; l++) {
            size_t is_leaf = at[l] >> 31;
            lists->going[lists->kept] = (Cursor){at[l], (uint32_t)(r + l)};
            lists->done[lists->ended] = (Cursor){at[l] & ~LEAF_EXIT, (uint32_t)(r + l)};
            lists->kept += !is_leaf;
            lists->ended += is_leaf;
        }
    }
}

/* A few steps of the rows still on their way; those that stand still are done. Nothing here looks at the pair a lane
 * has come to, which may not be in cache yet. */
static void NAME(next_phase)(const PAIR *pairs, const NAME(Keys) *keys, size_t live, Lists *lists) {
    lists->kept = lists->ended = 0;
    for (size_t j = 0; j < live; j += LANES) {
        uint32_t at[LANES], before[LANES], who[LANES];
        const KEY *row[LANES];
        size_t count = live - j < LANES ? live - j : LANES;
        for (size_t l = 0; l < LANES; l++) {
            Cursor cursor = lists->going[j + (l < count ? l : count - 1)];
            at[l] = cursor.at;
            who[l] = cursor.row;
            row[l] = keys->rows + cursor.row * keys->columns;
        }
        for (int s = 1; s < PHASE_STEPS; s++)
            for (int l = 0; l < LANES; l++) at[l] = NAME(step)(pairs, at[l], row[l]);
        for (int l = 0; l < LANES; l++) {
            before[l] = at[l];
            at[l] = NAME(step)(pairs, at[l], row[l]);
        }
        for (size_t l = 0; l < count; l++) {
            size_t moved = before[l] != at[l];
            lists->going[lists->kept] = lists->done[lists->ended] = (Cursor){at[l], who[l]};
            lists->kept += moved;
            lists->ended += !moved;
        }
    }
}

/* One tree over a large block; rows that have reached a leaf drop out between phases, so that deep trees cost the rows'
 * own depth and the upper nodes stay in cache. */
static void NAME(phased)(const Plan *plan, const PAIR *all, const CROWN *crowns, const NAME(Keys) *keys, Sums *sums,
                         Lists lists) {
    for (int32_t t = 0; t < plan->n_trees; t++) {
        const PAIR *pairs = all + plan->roots[t] + t;
        if (NAME(is_whole)(plan, crowns, t)) {
            NAME(lockstep_tree)(plan, t, all, crowns, keys, sums);
            continue;
        }
        NAME(first_phase)(plan, t, crowns, keys, &lists);
        for (;;) {
            for (size_t j = 0; j < lists.ended; j++)
                add_leaf(plan, sums, lists.done[j].row, t, (int32_t)pairs[lists.done[j].at].key);
            if (!lists.kept) break;
            NAME(next_phase)(pairs, keys, lists.kept, &lists);
        }
    }
}
