"""What was collected and what was not: intervals of time, gaps, and how they look. It knows no store and no Prefect."""
