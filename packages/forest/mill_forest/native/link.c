/* From margins to answers, with each library's own arithmetic: float32 throughout for forests that sum in
 * float32 (XGBoost), double otherwise. Softmax and exponentials of scikit-learn go through numpy's own vector
 * functions, which round differently from glibc's; predict.py applies them and the plan says identity. */
#include "forest.h"

#include <math.h>

static float single_sigmoid(float margin) {
    float x = -margin;
    x = 88.7f < x ? 88.7f : x; /* XGBoost's guard against overflow */
    return 1.0f / (expf(x) + 1.0f + 1e-16f);
}

static void single_softmax(const double *margins, double *out, int32_t n) {
    float highest = (float)margins[0];
    for (int32_t k = 1; k < n; k++) highest = fmaxf((float)margins[k], highest);
    double sum = 0.0;
    for (int32_t k = 0; k < n; k++) {
        float e = expf((float)margins[k] - highest);
        out[k] = e;
        sum += e;
    }
    for (int32_t k = 0; k < n; k++) out[k] = (float)out[k] / (float)sum;
}

static void finish_single(const Plan *plan, const double *margins, double *out) {
    int32_t n = plan->n_groups;
    if (plan->link == LINK_SOFTMAX) {
        single_softmax(margins, out, n);
        return;
    }
    for (int32_t k = 0; k < n; k++) {
        float m = (float)margins[k];
        out[k] = plan->link == LINK_SIGMOID ? single_sigmoid(m) : plan->link == LINK_EXP ? expf(m) : m;
    }
    if (plan->binary && n == 1) {
        float p = (float)out[0];
        out[0] = 1.0f - p;
        out[1] = p;
    }
}

static void softmax(const double *margins, double *out, int32_t n) {
    double highest = margins[0], sum = 0.0;
    for (int32_t k = 1; k < n; k++) highest = margins[k] > highest ? margins[k] : highest;
    for (int32_t k = 0; k < n; k++) sum += out[k] = exp(margins[k] - highest);
    for (int32_t k = 0; k < n; k++) out[k] /= sum;
}

static double linked(const Plan *plan, double m) {
    switch (plan->link) {
    case LINK_SIGMOID: return 1.0 / (1.0 + exp(-plan->scale * m));
    case LINK_EXP: return exp(m);
    case LINK_SQUARE: return (m > 0.0 ? 1 : m < 0.0 ? -1 : 0) * m * m;
    case LINK_LOG1PEXP: return log1p(exp(m));
    default: return m;
    }
}

static void finish_double(const Plan *plan, const double *margins, double *out) {
    int32_t n = plan->n_groups;
    if (plan->link == LINK_SOFTMAX) {
        softmax(margins, out, n);
        return;
    }
    for (int32_t k = 0; k < n; k++) out[k] = linked(plan, margins[k]);
    if (plan->binary && n == 1) {
        out[1] = out[0];
        out[0] = 1.0 - out[1];
    }
}

void finish_row(const Plan *plan, double *margins, double *out, int raw) {
    if (plan->divisor > 1)
        for (int32_t k = 0; k < plan->n_groups; k++) margins[k] /= plan->divisor;
    if (raw)
        for (int32_t k = 0; k < plan->n_groups; k++) out[k] = margins[k];
    else if (plan->single_sum)
        finish_single(plan, margins, out);
    else
        finish_double(plan, margins, out);
}
