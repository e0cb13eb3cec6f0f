/* A libFuzzer program around a native module: every input goes to `one_input(data)` of a Python file, coverage comes from the C. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>

extern PyObject *MILL_INIT(void);

static PyObject *one_input;

static void give_up(void) {
    PyErr_Print();
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    PyImport_AppendInittab("_fuzzed", MILL_INIT);
    if (PyStatus_Exception(PyConfig_SetBytesString(&config, &config.executable, getenv("MILL_FUZZ_PYTHON"))) ||
        PyStatus_Exception(Py_InitializeFromConfig(&config)))
        abort();
    PyConfig_Clear(&config);
    PyRun_SimpleString("import os, runpy, sys, _fuzzed; sys.modules[os.environ['MILL_FUZZ_MODULE']] = _fuzzed");
    PyRun_SimpleString("found = runpy.run_path(os.environ['MILL_FUZZ_TARGET'])");
    PyObject *found = PyObject_GetAttrString(PyImport_AddModule("__main__"), "found");
    one_input = found ? PyMapping_GetItemString(found, "one_input") : NULL;
    Py_XDECREF(found);
    if (!one_input)
        give_up();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    PyObject *answer = PyObject_CallFunction(one_input, "y#", (const char *)data, (Py_ssize_t)size);
    if (!answer)
        give_up();
    Py_DECREF(answer);
    return 0;
}
