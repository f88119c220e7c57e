"""placeholder"""


def mmbot_cases():
    return []
