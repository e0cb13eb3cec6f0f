/* Exact path-dependent TreeSHAP by quadrature.
 *
 * A leaf is reached with the product, over the features on its path, of `hot` (1 or 0: does the row go that way?)
 * for known features and of `share` (how much of the training data went that way) for unknown ones. The Shapley value
 * of feature i in such a product game is the integral over t in [0, 1] of
 *     value * (hot_i - share_i) * product over j != i of (share_j + t * (hot_j - share_j)).
 * The integrand is a polynomial of degree (features on the path - 1), so Gauss-Legendre quadrature with half as many
 * points is exact but for rounding. A walk keeps the product at every point, and on its way back the sums over the
 * leaves below: time goes with nodes x points rather than leaves x depth^2, and nothing is ever un-multiplied by zero,
 * because every factor is positive inside (0, 1).
 *
 * A feature that splits twice on a path has one factor; the deeper edge replaces the upper one's. */
#include "explain.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_STEP = 4 };

/* --- building ------------------------------------------------------------------------------------------- */

/* The roots of the Legendre polynomial by Newton's method, moved from [-1, 1] to [0, 1]. */
static void gauss_legendre(int32_t n, double *points, double *weights) {
    for (int32_t i = 0; i < n; i++) {
        double x = cos(acos(-1.0) * (i + 0.75) / (n + 0.5)), slope = 1.0;
        for (int round = 0; round < 100; round++) {
            double p = 1.0, before = 0.0;
            for (int32_t k = 0; k < n; k++) {
                double older = before;
                before = p;
                p = ((2.0 * k + 1.0) * x * before - k * older) / (k + 1.0);
            }
            slope = n * (x * p - before) / (x * x - 1.0);
            double step = p / slope;
            x -= step;
            if (fabs(step) < 1e-16) break;
        }
        points[i] = (1.0 - x) / 2.0;
        weights[i] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
}

typedef struct {
    double share; /* the product of ratios from the root */
    int32_t node, parent, depth, is_left;
} Pending;

typedef struct {
    Explanation *e;
    Pending *stack;
    int32_t *on_path; /* by feature: how many open splits look at it */
    int32_t *open;    /* by depth: the feature of the node's edge */
    int32_t distinct, most_distinct, open_depth;
} Builder;

static int32_t split_feature(const Plan *plan, const Node *node) {
    return node->category >= 0 ? node->column : plan->column_feature[node->column];
}

/* Closes what is deeper than the new node's parent, then opens its edge: counts distinct features on the path. */
static void count_features(Builder *b, int32_t depth, int32_t feature) {
    for (; b->open_depth >= depth; b->open_depth--) {
        int32_t closed = b->open[b->open_depth];
        if (closed >= 0 && --b->on_path[closed] == 0) b->distinct--;
    }
    b->open[b->open_depth = depth] = feature;
    if (feature >= 0 && b->on_path[feature]++ == 0) b->distinct++;
    if (b->distinct > b->most_distinct) b->most_distinct = b->distinct;
}

static void visit_tree(Builder *b, int32_t tree, const double *cover) {
    Explanation *e = b->e;
    const Plan *plan = e->plan;
    int32_t top = 0;
    b->stack[top++] = (Pending){1.0, plan->roots[tree], -1, 0, 0};
    while (top) {
        Pending at = b->stack[--top];
        const Node *node = plan->nodes + at.node;
        double ratio = at.parent < 0 ? 1.0 : cover[at.node] / cover[at.parent];
        int32_t feature = at.parent < 0 ? -1 : split_feature(plan, plan->nodes + at.parent);
        double share = at.share * ratio;
        e->visits[e->n_visits++] = (Visit){ratio, at.node, feature, at.depth, at.is_left};
        if (at.depth > e->max_depth) e->max_depth = at.depth;
        count_features(b, at.depth, feature);
        if (node->column >= 0) {
            b->stack[top++] = (Pending){share, node->right, at.node, at.depth + 1, 0};
            b->stack[top++] = (Pending){share, node->left, at.node, at.depth + 1, 1};
            continue;
        }
        const double *values = plan->leaves + (size_t)node->left * (size_t)plan->width;
        for (int32_t k = 0; k < plan->width; k++)
            e->expected[plan->width == 1 ? plan->group[tree] : k] += share * values[k];
    }
    count_features(b, 0, -1);
}

int explain_build(Explanation *e, const Plan *plan, const double *cover, int32_t n_nodes) {
    Builder b = {.e = e, .open_depth = -1};
    e->plan = plan;
    e->visits = aligned_zeros((size_t)n_nodes, sizeof *e->visits);
    e->expected = aligned_zeros((size_t)plan->n_groups, sizeof *e->expected);
    b.stack = malloc(((size_t)n_nodes + 1) * sizeof *b.stack);
    b.open = malloc(((size_t)n_nodes + 1) * sizeof *b.open);
    b.on_path = calloc((size_t)plan->n_features, sizeof *b.on_path);
    int ready = e->visits && e->expected && b.stack && b.open && b.on_path;
    if (ready) {
        for (int32_t t = 0; t < plan->n_trees; t++) visit_tree(&b, t, cover);
        for (int32_t k = 0; k < plan->n_groups; k++)
            e->expected[k] = (e->expected[k] + plan->base[k]) / plan->divisor;
    }
    free(b.stack);
    free(b.open);
    free(b.on_path);
    if (!ready) return EXPLAIN_NO_MEMORY;
    int32_t needed = (b.most_distinct + 1) / 2;
    e->n_points = (needed + POINTS_STEP - 1) / POINTS_STEP * POINTS_STEP;
    if (e->n_points == 0) e->n_points = POINTS_STEP;
    if (e->n_points > MAX_POINTS) return EXPLAIN_TOO_LONG;
    gauss_legendre(e->n_points, e->points, e->weights);
    return 0;
}

void explain_free(Explanation *e) {
    free(e->visits);
    free(e->expected);
}

/* --- one row -------------------------------------------------------------------------------------------- */

/* A feature's factor on the path so far; 1 and 1 where no split has looked at it. */
typedef struct {
    double share, hot;
} Factor;

/* What an open node has to put back when it closes. */
typedef struct {
    Factor before;
    int32_t feature, left_is_hot, matters;
} Open;

typedef struct {
    const Explanation *e;
    const double *row;
    double *values;  /* n_columns */
    Factor *factors; /* n_features */
    Open *open;      /* by depth, as the following */
    double *product; /* n_points: the product of factors at every point */
    double *gain;    /* n_points: what a unit of the leaves below adds to the edge's feature */
    double *sums;    /* width x n_points: the leaves below, by margin */
} Walk;

static size_t levels(const Explanation *e) { return (size_t)e->max_depth + 1; }

size_t explain_scratch(const Explanation *e) {
    const Plan *plan = e->plan;
    size_t columns = ((size_t)plan->n_columns + 7) / 8 * 8, points = (size_t)e->n_points;
    return columns * sizeof(double) + (size_t)plan->n_features * sizeof(Factor) + levels(e) * sizeof(Open) +
           levels(e) * points * (2 + (size_t)plan->width) * sizeof(double);
}

static Walk new_walk(const Explanation *e, void *scratch) {
    const Plan *plan = e->plan;
    size_t columns = ((size_t)plan->n_columns + 7) / 8 * 8, points = (size_t)e->n_points;
    Walk w = {.e = e, .values = scratch};
    w.product = w.values + columns;
    w.gain = w.product + levels(e) * points;
    w.sums = w.gain + levels(e) * points;
    w.factors = (Factor *)(w.sums + levels(e) * points * (size_t)plan->width);
    w.open = (Open *)(w.factors + plan->n_features);
    for (int32_t i = 0; i < plan->n_features; i++) w.factors[i] = (Factor){1.0, 1.0};
    for (size_t q = 0; q < points; q++) w.product[q] = 1.0;
    return w;
}

/* Multiplies the edge's factor into the product of its level and notes what the edge is worth. A feature that was
 * cold before stays cold: its factor only shrinks, and the edge adds nothing of its own. */
static void enter(Walk *w, const Visit *visit, Factor now) {
    const Explanation *e = w->e;
    size_t n = (size_t)e->n_points, at = (size_t)visit->depth * n;
    const double *restrict parent = w->product + at - n, *restrict points = e->points, *restrict weights = e->weights;
    double *restrict product = w->product + at, *restrict gain = w->gain + at;
    Factor before = w->factors[visit->feature];
    if (before.hot == 0.0) {
        for (size_t q = 0; q < n; q++) product[q] = parent[q] * visit->ratio;
    } else if (before.share == 1.0) {
        for (size_t q = 0; q < n; q++) {
            double factor = now.share + points[q] * (now.hot - now.share);
            product[q] = parent[q] * factor;
            gain[q] = weights[q] * ((now.hot - now.share) / factor);
        }
    } else {
        for (size_t q = 0; q < n; q++) {
            double factor = now.share + points[q] * (now.hot - now.share);
            double old = before.share + points[q] * (1.0 - before.share);
            product[q] = parent[q] * (factor / old);
            gain[q] = weights[q] * ((now.hot - now.share) / factor - (1.0 - before.share) / old);
        }
    }
}

static void open_node(Walk *w, const Visit *visit) {
    const Plan *plan = w->e->plan;
    const Node *node = plan->nodes + visit->node;
    Open *open = w->open + visit->depth;
    open->feature = visit->feature;
    if (visit->feature >= 0) {
        Factor before = w->factors[visit->feature];
        double hot = open[-1].left_is_hot == visit->is_left ? before.hot : 0.0;
        Factor now = {fmax(before.share * visit->ratio, DBL_MIN), hot};
        enter(w, visit, now);
        open->before = before;
        open->matters = before.hot != 0.0;
        w->factors[visit->feature] = now;
    }
    size_t n = (size_t)w->e->n_points, width = (size_t)plan->width;
    double *restrict sums = w->sums + (size_t)visit->depth * n * width;
    if (node->column >= 0) {
        open->left_is_hot = goes_left(plan, node, w->row, w->values);
        memset(sums, 0, n * width * sizeof *sums);
        return;
    }
    const double *restrict product = w->product + (size_t)visit->depth * n;
    const double *leaf = plan->leaves + (size_t)node->left * width;
    for (size_t k = 0; k < width; k++)
        for (size_t q = 0; q < n; q++) sums[k * n + q] = leaf[k] * product[q];
}

/* Adds the leaves below to the edge's feature and to the node above. */
static void close_node(Walk *w, int32_t depth, int32_t group, double *out) {
    const Plan *plan = w->e->plan;
    size_t n = (size_t)w->e->n_points, width = (size_t)plan->width, stride = (size_t)plan->n_features + 1;
    const Open *open = w->open + depth;
    if (open->feature < 0) return;
    const double *restrict sums = w->sums + (size_t)depth * n * width, *restrict gain = w->gain + (size_t)depth * n;
    double *restrict above = w->sums + (size_t)(depth - 1) * n * width;
    for (size_t k = 0; k < width; k++) {
        double total[POINTS_STEP] = {0};
        if (open->matters)
            for (size_t q = 0; q < n; q += POINTS_STEP)
                for (size_t p = 0; p < POINTS_STEP; p++) total[p] += sums[k * n + q + p] * gain[q + p];
        for (size_t q = 0; q < n; q++) above[k * n + q] += sums[k * n + q];
        size_t margin = width == 1 ? (size_t)group : k;
        out[margin * stride + (size_t)open->feature] += (total[0] + total[1]) + (total[2] + total[3]);
    }
    w->factors[open->feature] = open->before;
}

static void explain_row(Walk *w, double *out) {
    const Explanation *e = w->e;
    const Plan *plan = e->plan;
    for (int32_t c = 0; c < plan->n_columns; c++)
        w->values[c] = column_view(plan, plan->column_rule[c], w->row[plan->column_feature[c]]);
    int32_t tree = -1, depth = -1;
    for (int32_t i = 0; i < e->n_visits; i++) {
        const Visit *visit = e->visits + i;
        for (; depth >= visit->depth; depth--) close_node(w, depth, plan->group[tree], out);
        tree += visit->depth == 0;
        open_node(w, visit);
        depth = visit->depth;
    }
    for (; depth >= 0; depth--) close_node(w, depth, plan->group[tree], out);
}

void explain_rows(const Explanation *e, const double *x, size_t rows, double *out, void *scratch) {
    const Plan *plan = e->plan;
    size_t groups = (size_t)plan->n_groups, stride = (size_t)plan->n_features + 1;
    Walk w = new_walk(e, scratch);
    for (size_t r = 0; r < rows; r++) {
        double *answer = out + r * groups * stride;
        memset(answer, 0, groups * stride * sizeof *answer);
        w.row = x + r * (size_t)plan->n_features;
        explain_row(&w, answer);
        for (size_t i = 0; plan->divisor > 1 && i < groups * stride; i++) answer[i] /= plan->divisor;
        for (size_t k = 0; k < groups; k++) answer[k * stride + stride - 1] = e->expected[k];
    }
}
