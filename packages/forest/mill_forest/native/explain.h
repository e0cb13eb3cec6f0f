/* Exact path-dependent TreeSHAP over a plan that keeps its general nodes (layout walk); see explain.c. */
#ifndef MILL_FOREST_EXPLAIN_H
#define MILL_FOREST_EXPLAIN_H

#include "forest.h"

enum { MAX_POINTS = 128 };

/* A node in the order of a walk that goes left first; `ratio` is its cover as a share of its parent's. */
typedef struct {
    double ratio;
    int32_t node, feature, depth; /* feature: what its parent splits, -1 for a root */
    int32_t is_left;
} Visit;

typedef struct {
    const Plan *plan;
    Visit *visits;
    int32_t n_visits, max_depth, n_points;
    double points[MAX_POINTS], weights[MAX_POINTS];
    double *expected; /* n_groups: the answer of a row of which nothing is known */
} Explanation;

enum explain_failure { EXPLAIN_NO_MEMORY = -1, EXPLAIN_TOO_LONG = -2 };

/* Fills an empty explanation; returns 0 or a failure, and explain_free cleans up. `cover` has an item per node. */
int explain_build(Explanation *e, const Plan *plan, const double *cover, int32_t n_nodes);
void explain_free(Explanation *e);
size_t explain_scratch(const Explanation *e);

/* Rows to contributions (n_groups, n_features + 1) each; the last column is what is expected of no row at all. */
void explain_rows(const Explanation *e, const double *x, size_t rows, double *out, void *scratch);

#endif
