/* Descent through neighbouring pairs; walk.c includes this once per kind of pair after defining
 * PAIR, VALUE, LEFT(pair), COLUMN(pair) and NAME(word). A step from a leaf stays there, so loops need no
 * branch on the rows: they stop when a whole group of lanes stands still. */

static void NAME(fill)(const Plan *plan, const double *row, VALUE *values) {
    for (int32_t c = 0; c < plan->n_columns; c++)
        values[c] = (VALUE)column_view(plan, plan->column_rule[c], row[plan->column_feature[c]]);
}

static inline uint32_t NAME(step)(const PAIR *pairs, uint32_t at, const VALUE *values) {
    PAIR pair = pairs[at];
    return LEFT(pair) + !(values[COLUMN(pair)] <= pair.threshold);
}

/* One row, LANES trees abreast: their cache misses overlap. `leaf` receives a leaf row per tree of the group. */
static void NAME(row_group)(const Plan *plan, const PAIR *all, const VALUE *values, int32_t tree, int32_t count,
                            int32_t *leaf) {
    uint32_t at[LANES];
    const PAIR *pairs[LANES];
    const int32_t *rows[LANES];
    int32_t depth = 0;
    for (int l = 0; l < LANES; l++) {
        int32_t t = tree + (l < count ? l : count - 1);
        size_t first = (size_t)plan->roots[t] + (size_t)t;
        pairs[l] = all + first;
        rows[l] = plan->pair_leaf + first;
        at[l] = 1;
        depth = plan->depth[t] > depth ? plan->depth[t] : depth;
    }
    for (int32_t d = 0; d < depth; d += 3) {
        uint32_t moved = 0;
        for (int s = 0; s < 2; s++)
            for (int l = 0; l < LANES; l++) at[l] = NAME(step)(pairs[l], at[l], values);
        for (int l = 0; l < LANES; l++) {
            uint32_t next = NAME(step)(pairs[l], at[l], values);
            moved |= next ^ at[l];
            at[l] = next;
        }
        if (!moved) break;
    }
    for (int32_t l = 0; l < count; l++) leaf[l] = rows[l][at[l]];
}

/* One tree, LANES rows abreast. */
static void NAME(lockstep)(const Plan *plan, const PAIR *all, const VALUE *values, size_t rows, Sums *sums) {
    size_t stride = (size_t)plan->n_columns;
    for (int32_t t = 0; t < plan->n_trees; t++) {
        size_t first = (size_t)plan->roots[t] + (size_t)t;
        const PAIR *pairs = all + first;
        const int32_t *leaf = plan->pair_leaf + first;
        int32_t depth = plan->depth[t];
        for (size_t r = 0; r < rows; r += LANES) {
            uint32_t at[LANES];
            const VALUE *lane[LANES];
            for (size_t l = 0; l < LANES; l++) {
                at[l] = 1;
                lane[l] = values + (r + l < rows ? r + l : rows - 1) * stride;
            }
            for (int32_t d = 0; d < depth; d += 3) {
                uint32_t moved = 0;
                for (int s = 0; s < 2; s++)
                    for (int l = 0; l < LANES; l++) at[l] = NAME(step)(pairs, at[l], lane[l]);
                for (int l = 0; l < LANES; l++) {
                    uint32_t next = NAME(step)(pairs, at[l], lane[l]);
                    moved |= next ^ at[l];
                    at[l] = next;
                }
                if (!moved) break;
            }
            for (size_t l = 0; l < LANES && r + l < rows; l++) add_leaf(plan, sums, r + l, t, leaf[at[l]]);
        }
    }
}

/* One tree over a large block, a few steps at a time; rows that have reached a leaf drop out between phases,
 * so deep trees cost the rows' own depth and the upper nodes stay in cache. */
static void NAME(phased)(const Plan *plan, const PAIR *all, const VALUE *values, size_t rows, Sums *sums,
                         uint32_t *at, uint32_t *who, uint32_t *end) {
    size_t stride = (size_t)plan->n_columns;
    for (int32_t t = 0; t < plan->n_trees; t++) {
        size_t first = (size_t)plan->roots[t] + (size_t)t;
        const PAIR *pairs = all + first;
        size_t live = rows;
        for (size_t r = 0; r < rows; r++) at[r] = 1, who[r] = (uint32_t)r;
        for (int steps = PHASE_STEPS + 4; live; steps = PHASE_STEPS) {
            size_t kept = 0;
            for (size_t j = 0; j < live; j += LANES) {
                uint32_t now[LANES], before[LANES], row[LANES];
                const VALUE *lane[LANES];
                size_t count = live - j < LANES ? live - j : LANES;
                for (size_t l = 0; l < LANES; l++) {
                    size_t k = j + (l < count ? l : count - 1);
                    row[l] = who[k];
                    now[l] = at[k];
                    lane[l] = values + row[l] * stride;
                }
                for (int s = 1; s < steps; s++)
                    for (int l = 0; l < LANES; l++) now[l] = NAME(step)(pairs, now[l], lane[l]);
                for (int l = 0; l < LANES; l++) {
                    before[l] = now[l];
                    now[l] = NAME(step)(pairs, now[l], lane[l]);
                }
                for (size_t l = 0; l < count; l++) {
                    end[row[l]] = now[l];
                    at[kept] = now[l];
                    who[kept] = row[l];
                    kept += before[l] != now[l];
                }
            }
            live = kept;
        }
        const int32_t *leaf = plan->pair_leaf + first;
        for (size_t r = 0; r < rows; r++) add_leaf(plan, sums, r, t, leaf[end[r]]);
    }
}
