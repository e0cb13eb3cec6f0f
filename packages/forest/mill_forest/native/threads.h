/* Runs one function on several threads at once, the calling one among them; both kinds of job share it. */
#ifndef MILL_FOREST_THREADS_H
#define MILL_FOREST_THREADS_H

enum { MAX_THREADS = 64 };

/* Returns when all are done. Fewer threads than asked for may run, when the system has no more. */
void run_threads(void *(*work)(void *), void *argument, int threads);

#endif
