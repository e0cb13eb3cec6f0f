#include "threads.h"

#include <pthread.h>

void run_threads(void *(*work)(void *), void *argument, int threads) {
    pthread_t others[MAX_THREADS];
    int started = 0;
    for (; started < threads - 1 && started < MAX_THREADS; started++)
        if (pthread_create(&others[started], NULL, work, argument)) break;
    work(argument);
    for (int i = 0; i < started; i++) pthread_join(others[i], NULL);
}
