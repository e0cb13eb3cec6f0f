"""One child process per attempt: `process` starts and hears it, `runner` stands between and kills what must not outlive us."""
