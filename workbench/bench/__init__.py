"""What a run costs: time, state transitions, AWS calls and write units, and what a function costs to start.

Every figure stands beside what the same job costs without the frame, or beside an aim, and says whether it is met.
"""
