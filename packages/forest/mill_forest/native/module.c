/* The Python face of the kernel: the type Kernel owns a compiled plan and answers blocks of rows with the
 * GIL released, or one row at once; Explainer stands in explainer.c. Arrays come and go by the buffer protocol. Called by predict.py alone. */
#include "arguments.h"
#include "explainer.h"
#include "threads.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    Plan *plan;
    void *row_scratch; /* the single-row path runs under the GIL, so one is enough */
} Kernel;

/* --- construction --------------------------------------------------------------------------------------- */

static PyObject *kernel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *options, *arrays;
    double scale;
    if (kwargs && PyDict_Size(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Kernel takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O!dO!", &PyDict_Type, &options, &scale, &PyDict_Type, &arrays)) return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Kernel *self = (Kernel *)alloc(type, 0);
    if (!self) return NULL;
    self->plan = calloc(1, sizeof *self->plan);
    if (!self->plan) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->plan->scale = scale;
    Py_ssize_t n_nodes = 0;
    if (plan_from_python(self->plan, options, arrays, &n_nodes)) {
        Py_DECREF(self);
        return NULL;
    }
    self->row_scratch = aligned_zeros(row_scratch(self->plan), 1);
    if (!self->row_scratch) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void kernel_dealloc(PyObject *object) {
    Kernel *self = (Kernel *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->plan) plan_free(self->plan);
    free(self->row_scratch);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* --- blocks of rows ------------------------------------------------------------------------------------- */

typedef struct {
    const Plan *plan;
    const double *x;
    double *out;
    size_t rows, block, scratch;
    int raw;
    atomic_size_t next;
    atomic_int failed;
} Job;

static void *work(void *argument) {
    Job *job = argument;
    const Plan *plan = job->plan;
    size_t outputs = (size_t)(job->raw ? plan->n_groups : plan->n_outputs);
    void *scratch = aligned_zeros(job->scratch, 1);
    if (!scratch) {
        atomic_store(&job->failed, 1);
        return NULL;
    }
    for (;;) {
        size_t first = atomic_fetch_add(&job->next, job->block);
        if (first >= job->rows) break;
        size_t count = job->rows - first < job->block ? job->rows - first : job->block;
        const double *x = job->x + first * (size_t)plan->n_features;
        double *out = job->out + first * outputs;
        if (plan->layout == LAYOUT_BLEND)
            blend_rows(plan, x, count, out, job->raw, scratch);
        else
            walk_rows(plan, x, count, out, job->raw, scratch);
    }
    free(scratch);
    return NULL;
}

static Job new_job(const Plan *plan, const double *x, double *out, size_t rows, int raw, int threads) {
    Job job = {.plan = plan, .x = x, .out = out, .rows = rows, .raw = raw};
    int blend = plan->layout == LAYOUT_BLEND;
    job.block = blend ? BLOCK_ROWS : walk_block(plan);
    size_t share = (rows + (size_t)threads - 1) / (size_t)threads;
    size_t rounded = (share + BLOCK_ROWS - 1) / BLOCK_ROWS * BLOCK_ROWS;
    if (rounded < job.block) job.block = rounded;
    job.scratch = blend ? blend_scratch(plan) : walk_scratch(plan, job.block);
    return job;
}

static PyObject *kernel_block(PyObject *object, PyObject *args) {
    const Plan *plan = ((Kernel *)object)->plan;
    Py_buffer x, out;
    int raw, threads;
    if (!PyArg_ParseTuple(args, "y*w*pi", &x, &out, &raw, &threads)) return NULL;
    size_t row_bytes = (size_t)plan->n_features * sizeof(double);
    size_t rows = (size_t)x.len / row_bytes;
    size_t outputs = (size_t)(raw ? plan->n_groups : plan->n_outputs);
    if (rows * row_bytes != (size_t)x.len || rows * outputs * sizeof(double) != (size_t)out.len) {
        PyBuffer_Release(&x);
        PyBuffer_Release(&out);
        PyErr_SetString(PyExc_ValueError, "the rows and the answers do not fit each other");
        return NULL;
    }
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    Job job = new_job(plan, x.buf, out.buf, rows, raw, threads);
    size_t blocks = rows ? (rows + job.block - 1) / job.block : 0;
    if (blocks < (size_t)threads) threads = (int)blocks;
    if (rows) {
        Py_BEGIN_ALLOW_THREADS
        run_threads(work, &job, threads);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&out);
    if (atomic_load(&job.failed)) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* --- one row -------------------------------------------------------------------------------------------- */

/* row(x, out, raw): x must be float64, contiguous, of n_features items. */
static PyObject *kernel_row(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    Kernel *self = (Kernel *)object;
    const Plan *plan = self->plan;
    Py_buffer x, out;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "row takes x, out and raw");
        return NULL;
    }
    int raw = PyObject_IsTrue(args[2]);
    if (PyObject_GetBuffer(args[0], &x, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) return NULL;
    if (PyObject_GetBuffer(args[1], &out, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)) {
        PyBuffer_Release(&x);
        return NULL;
    }
    size_t outputs = (size_t)(raw ? plan->n_groups : plan->n_outputs);
    int fits = x.len == (Py_ssize_t)((size_t)plan->n_features * sizeof(double)) && x.format &&
               !strcmp(x.format, "d") && out.len == (Py_ssize_t)(outputs * sizeof(double));
    if (fits) walk_row(plan, x.buf, out.buf, raw, self->row_scratch);
    PyBuffer_Release(&x);
    PyBuffer_Release(&out);
    if (fits) Py_RETURN_NONE;
    PyErr_Format(PyExc_ValueError, "a row is a float64 array of %d values", (int)plan->n_features);
    return NULL;
}

static PyObject *kernel_layout(PyObject *object, void *closure) {
    static const char *const names[] = {"walk", "lockstep", "phased", "blend"};
    (void)closure;
    return PyUnicode_FromString(names[((Kernel *)object)->plan->layout]);
}

static PyObject *kernel_nbytes(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromSize_t(plan_bytes(((Kernel *)object)->plan));
}

/* --- the module ----------------------------------------------------------------------------------------- */

/* The logarithm that XGBoost uses for its base score: glibc's float32 one, not numpy's. */
static PyObject *single_log(PyObject *module, PyObject *value) {
    (void)module;
    double x = PyFloat_AsDouble(value);
    if (PyErr_Occurred()) return NULL;
    return PyFloat_FromDouble((double)logf((float)x));
}

static PyMethodDef kernel_methods[] = {
    {"block", kernel_block, METH_VARARGS, "block(x, out, raw, threads): answer many rows, GIL released"},
    {"row", (PyCFunction)(void (*)(void))kernel_row, METH_FASTCALL, "row(x, out, raw): answer one row"},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef kernel_getters[] = {
    {"layout", kernel_layout, NULL, "the layout chosen for blocks", NULL},
    {"nbytes", kernel_nbytes, NULL, "bytes held by the compiled forest", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot kernel_slots[] = {
    {Py_tp_new, kernel_new},         {Py_tp_dealloc, kernel_dealloc}, {Py_tp_methods, kernel_methods},
    {Py_tp_getset, kernel_getters}, {0, NULL},
};
static PyType_Spec kernel_spec = {"mill_forest._kernel.Kernel", sizeof(Kernel), 0, Py_TPFLAGS_DEFAULT, kernel_slots};

static int add_type(PyObject *module, const char *name, PyType_Spec *spec) {
    PyObject *type = PyType_FromSpec(spec);
    if (!type) return -1;
    int failed = PyModule_AddObjectRef(module, name, type);
    Py_DECREF(type);
    return failed;
}

static int kernel_exec(PyObject *module) {
    return add_type(module, "Kernel", &kernel_spec) || add_type(module, "Explainer", &explainer_spec) ? -1 : 0;
}

static PyMethodDef module_methods[] = {
    {"single_log", single_log, METH_O, "the natural logarithm in float32, as glibc computes it"},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, kernel_exec}, {0, NULL}};
static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_kernel", "Prediction over validated forests.", 0, module_methods, module_slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module_definition); }
