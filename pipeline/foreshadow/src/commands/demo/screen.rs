//! The live view: a chart a workload, the newest decisions, and what they add up to.

use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph};

use super::picture::{Course, Picture};
use crate::telling::Hush;

/// How often the screen is drawn: smooth to the eye, and next to nothing beside the pipeline.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Columns of charts.
const COLUMNS: usize = 2;

/// Lines of decisions below the charts.
const DECISION_LINES: u16 = 12;

const DEMAND: Color = Color::Yellow;
const ALLOCATION: Color = Color::Cyan;
const ALARM: Color = Color::Red;

/// The terminal, in our hands until it is dropped.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    drawn: Option<Instant>,
    /// Invariant: the last field, so that what was held back is told on the restored terminal.
    _hush: Hush,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it cannot be drawn on.
    pub(super) fn open() -> std::io::Result<Self> {
        Ok(Self { terminal: ratatui::try_init()?, drawn: None, _hush: Hush::begin() })
    }

    /// Draws, where it is time to; false when the user has had enough.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn draw(&mut self, picture: &Picture) -> std::io::Result<bool> {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < DRAW_EVERY) {
            return Ok(true);
        }
        self.drawn = Some(Instant::now());
        self.terminal.draw(|frame| paint(frame, picture))?;
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()? {
                let interrupted = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if interrupted || key.code == KeyCode::Char('q') {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn paint(frame: &mut Frame<'_>, picture: &Picture) {
    let [head, charts, decisions, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(6),
        Constraint::Length(DECISION_LINES + 2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(headline(picture), head);
    let rows = picture.courses.len().div_ceil(COLUMNS).max(1);
    let bands = Layout::vertical(vec![Constraint::Fill(1); rows]).split(charts);
    for (index, (workload, course)) in picture.courses.iter().enumerate() {
        let cells = Layout::horizontal([Constraint::Fill(1); COLUMNS]).split(bands[index / COLUMNS]);
        chart(frame, cells[index % COLUMNS], workload, course);
    }
    frame.render_widget(newest(picture), decisions);
    frame.render_widget(totals(picture), foot);
}

fn headline(picture: &Picture) -> Line<'static> {
    let time = picture.now.to_string();
    Line::from(vec![
        Span::styled(" Foreshadow ", Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED)),
        Span::raw(format!("  {}  ", time.get(..16).unwrap_or(&time).replace('T', " "))),
        Span::styled("━ demand (cores)  ", Style::new().fg(DEMAND)),
        Span::styled("━ allocation  ", Style::new().fg(ALLOCATION)),
        Span::styled("red title: SLO missed now", Style::new().fg(ALARM)),
    ])
}

fn chart(frame: &mut Frame<'_>, area: Rect, workload: &str, course: &Course) {
    let (demand, allocation): (Vec<_>, Vec<_>) =
        (course.demand.iter().copied().collect(), course.allocation.iter().copied().collect());
    let of = |points: &[(f64, f64)]| points.last().map_or(0.0, |(_, cores)| *cores);
    let title = format!(
        " {workload}: needs {:.2}, has {:.2}, shadow {:.2} ",
        of(&demand),
        of(&allocation),
        course.shadow_cores
    );
    let style = if course.violated { Style::new().fg(ALARM) } else { Style::new() };
    let most = demand.iter().chain(&allocation).map(|(_, cores)| *cores).fold(1.0, f64::max).ceil();
    let begin = demand.first().map_or(0.0, |(hour, _)| *hour);
    let hours = |hour: f64| Span::raw(format!("{hour:.0} h"));
    let line = |points, colour| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(colour))
            .data(points)
    };
    let chart = Chart::new(vec![line(&allocation, ALLOCATION), line(&demand, DEMAND)])
        .block(Block::bordered().title(Span::styled(title, style)))
        .x_axis(Axis::default().bounds([begin, begin + 24.0]).labels([hours(begin), hours(begin + 24.0)]))
        .y_axis(Axis::default().bounds([0.0, most]).labels([Span::raw("0"), Span::raw(format!("{most:.0}"))]));
    frame.render_widget(chart, area);
}

fn newest(picture: &Picture) -> Paragraph<'_> {
    let lines =
        picture.lines.iter().take(usize::from(DECISION_LINES)).map(|(line, short)| {
            Line::styled(line.as_str(), if *short { Style::new().fg(ALARM) } else { Style::new() })
        });
    Paragraph::new(lines.collect::<Vec<_>>()).block(Block::bordered().title(" decisions, newest first "))
}

fn totals(picture: &Picture) -> Line<'static> {
    let counts = picture.counts;
    let held: f64 = picture
        .courses
        .values()
        .map(|course| course.allocation.back().map_or(0.0, |(_, cores)| *cores) + course.shadow_cores)
        .sum();
    let pool = picture.pool.as_ref().map_or(String::new(), |pool| {
        format!("pool {}: {held:.1} of {:.0} cores   ", pool.pool, pool.capacity().cpu_cores.get())
    });
    Line::raw(format!(
        " {pool}{} samples  {} decisions  {} up  {} down  {} shortfalls  {} anomalies      q quits",
        counts.samples, counts.decisions, counts.scale_ups, counts.scale_downs, counts.shortfalls, counts.anomalies
    ))
}
