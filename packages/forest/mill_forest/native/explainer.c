/* The Python type Explainer: a plan of general nodes with their covers, answering contributions with the GIL
 * released. Built by predict.py when the first explanation is asked for. */
#include "explainer.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "arguments.h"
#include "explain.h"
#include "threads.h"

typedef struct {
    PyObject_HEAD
    Plan *plan;
    Explanation explanation;
} Explainer;

/* Scratch memory per thread; only forests made to hurt need more. */
static const size_t MAX_SCRATCH = (size_t)1 << 30;

static int build(Explainer *self, PyObject *options, PyObject *arrays) {
    Py_ssize_t n_nodes = 0;
    if (plan_from_python(self->plan, options, arrays, &n_nodes)) return -1;
    double *cover = copied(arrays, "cover", n_nodes, sizeof(double), NULL);
    if (!cover) return -1;
    int failure = explain_build(&self->explanation, self->plan, cover, (int32_t)n_nodes);
    free(cover);
    if (failure == EXPLAIN_NO_MEMORY) {
        PyErr_NoMemory();
    } else if (failure == EXPLAIN_TOO_LONG || explain_scratch(&self->explanation) > MAX_SCRATCH) {
        PyErr_SetString(PyExc_OverflowError, "trees whose paths look at too many features to be explained");
        failure = EXPLAIN_TOO_LONG;
    }
    return failure;
}

static PyObject *explainer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *options, *arrays;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "O!O!", &PyDict_Type, &options, &PyDict_Type, &arrays)) return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Explainer *self = (Explainer *)alloc(type, 0);
    if (!self) return NULL;
    self->plan = calloc(1, sizeof *self->plan);
    if (!self->plan) PyErr_NoMemory();
    if (!self->plan || build(self, options, arrays)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void explainer_dealloc(PyObject *object) {
    Explainer *self = (Explainer *)object;
    PyTypeObject *type = Py_TYPE(object);
    explain_free(&self->explanation);
    if (self->plan) plan_free(self->plan);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

typedef struct {
    const Explanation *explanation;
    const double *x;
    double *out;
    size_t rows, features, outputs;
    atomic_size_t next;
    atomic_int failed;
} Job;

enum { ROWS_AT_ONCE = 8 };

static void *work(void *argument) {
    Job *job = argument;
    void *scratch = aligned_zeros(explain_scratch(job->explanation), 1);
    if (!scratch) {
        atomic_store(&job->failed, 1);
        return NULL;
    }
    for (;;) {
        size_t first = atomic_fetch_add(&job->next, ROWS_AT_ONCE);
        if (first >= job->rows) break;
        size_t count = job->rows - first < ROWS_AT_ONCE ? job->rows - first : ROWS_AT_ONCE;
        explain_rows(job->explanation, job->x + first * job->features, count, job->out + first * job->outputs, scratch);
    }
    free(scratch);
    return NULL;
}

static PyObject *explainer_block(PyObject *object, PyObject *args) {
    Explainer *self = (Explainer *)object;
    const Plan *plan = self->plan;
    Py_buffer x, out;
    int threads;
    if (!PyArg_ParseTuple(args, "y*w*i", &x, &out, &threads)) return NULL;
    size_t features = (size_t)plan->n_features, outputs = (size_t)plan->n_groups * (features + 1);
    size_t rows = (size_t)x.len / (features * sizeof(double));
    int fits = rows * features * sizeof(double) == (size_t)x.len && rows * outputs * sizeof(double) == (size_t)out.len;
    Job job = {&self->explanation, x.buf, out.buf, rows, features, outputs, 0, 0};
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    if (rows < (size_t)threads * ROWS_AT_ONCE) threads = (int)(rows / ROWS_AT_ONCE + 1);
    if (fits && rows) {
        Py_BEGIN_ALLOW_THREADS
        run_threads(work, &job, threads);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&out);
    if (atomic_load(&job.failed)) return PyErr_NoMemory();
    if (fits) Py_RETURN_NONE;
    PyErr_SetString(PyExc_ValueError, "the rows and the answers do not fit each other");
    return NULL;
}

static PyMethodDef explainer_methods[] = {
    {"block", explainer_block, METH_VARARGS, "block(x, out, threads): contributions of many rows, GIL released"},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot explainer_slots[] = {
    {Py_tp_new, explainer_new}, {Py_tp_dealloc, explainer_dealloc}, {Py_tp_methods, explainer_methods}, {0, NULL},
};
PyType_Spec explainer_spec = {"mill_forest._kernel.Explainer", sizeof(Explainer), 0, Py_TPFLAGS_DEFAULT,
                              explainer_slots};
