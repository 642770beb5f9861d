"""What the machine that runs the tests may have set otherwise than a terminal does."""

import signal

# Who is started in the background, or by nohup, inherits that signals are ignored; so would every process of the tests.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)
